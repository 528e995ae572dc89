"""Templates find one another by name, and the policy allows a page its own parts and nothing else."""

from __future__ import annotations

import base64
import hashlib

import pytest
from jinja2 import UndefinedError

from medkd.review.templating import embed, policy, source, template


def digest(text):
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_the_policy_allows_what_it_is_told_by_its_digest():
    found = policy(["a{}", "b{}"], ["one()", "two()"])
    assert found.startswith("default-src 'none'; img-src data:;")
    for text in ("a{}", "b{}", "one()", "two()"):
        assert f"'sha256-{digest(text)}'" in found
    assert "unsafe" not in found
    assert "script-src" not in policy(["a{}"])


def test_data_cannot_end_the_element_it_stands_in():
    assert "</script>" not in embed({"name": "</script><b>"})
    assert embed({"b": 1, "a": 2}) == '{"a":2,"b":1}'


def test_a_template_refuses_what_it_is_not_given():
    assert "{%" in source("report.html")
    with pytest.raises(UndefinedError):
        template("caveats.html").render()
