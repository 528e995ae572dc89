"""The pages of the server beside the study itself, each in the one language that its reader chose; all texts are the catalogue's."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from data_contracts import MedkdError
from medkd.review.texts import LANGUAGES, Text, say, text_of, texts_of


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("medkd.review_server", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment


def render(name: str, language: str, **context: Any) -> str:
    """Return a page.

    Args:
        name: of its template.
        language: ``en`` or ``zh``.
        context: what the template is filled with.
    """

    def t(key: str, /, **values: Text) -> str:
        return text_of(say(key, **values), language)

    return _environment().get_template(name).render(t=t, language=language, tag=LANGUAGES[language], **context)


def sentence_of(error: MedkdError, language: str, values: Mapping[str, str] | None = None) -> tuple[str, str]:
    """Return what a page says of an error, and the tag of its language: the catalogue's text, else the error's own English sentence."""
    key = f"error.{error.code}"
    if key in texts_of(language):
        return text_of(say(key, **(values or {})), language), LANGUAGES[language]
    return f"{error.code}: {error.message}", "en"
