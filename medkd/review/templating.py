"""Templates of pages, and the policy that lets a page use its own styles and scripts and nothing else."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template

from medkd.review.map_table import figure
from medkd.review.texts import both, in_each, recognise, say


@functools.cache
def source(name: str) -> str:
    """Return the text of a template, a style or a script."""
    return files("medkd.review").joinpath("templates", name).read_text(encoding="utf-8")


@functools.cache
def template(name: str) -> Template:
    """Return a template; those that it includes are found by their names."""
    environment = Environment(
        loader=FunctionLoader(source), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["figure"] = figure
    environment.filters["both"] = both
    environment.filters["in_each"] = in_each
    environment.filters["recognise"] = recognise
    environment.globals["t"] = lambda key, /, **values: both(say(key, **values))
    environment.globals["say"] = say
    return environment.get_template(name)


def policy(styles: Sequence[str], scripts: Sequence[str] = ()) -> str:
    """Return a page's content-security policy: what is not in the file is not loaded.

    Args:
        styles: texts of its styles, each in an element of its own.
        scripts: texts of its scripts.
    """
    allowed = f" script-src {' '.join(map(_digest, scripts))};" if scripts else ""
    return f"default-src 'none'; img-src data:; style-src {' '.join(map(_digest, styles))};{allowed} base-uri 'none'; form-action 'none'"


def _digest(text: str) -> str:
    """Return how a content-security policy names a style or a script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def embed(payload: Mapping[str, Any]) -> str:
    """Return JSON that cannot end the script element it stands in."""
    return json.dumps(payload, sort_keys=True, separators=(",", ":")).replace("<", "\\u003c")
