"""The language of searches: what it reads, what each operator means, and what is said of mistakes."""

from __future__ import annotations

import pytest

from data_contracts import RegistryError
from medkd.registry.search_query import FIELDS, SearchCondition, parse_query, unknown_field


def refused(text):
    with pytest.raises(RegistryError) as caught:
        parse_query(text)
    assert "\n" not in str(caught.value)
    return caught.value.code, str(caught.value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ()),
        ("  ", ()),
        ("alias=candidate", (("alias", "=", "candidate"),)),
        (
            "teacher=phantom-segmentation-teacher and explanation.failed=cam",
            (("teacher", "=", "phantom-segmentation-teacher"), ("explanation.failed", "=", "cam")),
        ),
        ("metrics.dice >= 0.6 AND arm = kd_explanation", (("metrics.dice", ">=", "0.6"), ("arm", "=", "kd_explanation"))),
        ("name~kd and version>1", (("name", "~", "kd"), ("version", ">", "1"))),
        ("""tags.note="one and two" and name!='a b'""", (("tags.note", "=", "one and two"), ("name", "!=", "a b"))),
        ("teacher=a/1@ff and knowledge!=b", (("teacher", "=", "a/1@ff"), ("knowledge", "!=", "b"))),
        ("name=android", (("name", "=", "android"),)),
    ],
)
def test_conditions_are_read(text, found):
    assert parse_query(text) == tuple(SearchCondition(*parts) for parts in found)


@pytest.mark.parametrize(
    "text", ["alias", "alias=", "=x", "alias=a or alias=b", "alias=a alias=b", "alias=a and", "(alias=a)", "alias==a", "a b=c"]
)
def test_what_is_no_query_is_said_with_its_place(text):
    code, sentence = refused(text)
    assert code == "SEARCH_QUERY"
    assert "FIELD OP VALUE" in sentence


def test_an_unknown_field_is_said_with_the_nearest_and_all_fields():
    code, sentence = refused("teachr=a")
    assert code == "SEARCH_FIELD"
    assert "did you mean 'teacher'?" in sentence
    assert all(field in sentence for field in FIELDS)
    assert "metrics.NAME" in sentence
    assert "did you mean" not in refused("zzzzzz=a")[1]
    assert refused("metrics.=1")[0] == "SEARCH_FIELD"
    assert "none of that kind" in str(unknown_field("x", ()))


@pytest.mark.parametrize("text", ["name>a", "role<=b", "metrics.dice~0", "version~1"])
def test_an_operator_that_a_field_has_no_sense_for_is_refused(text):
    assert refused(text)[0] == "SEARCH_OPERATOR"


@pytest.mark.parametrize("text", ["metrics.dice>=high", "version=one", "seed=nan"])
def test_a_number_that_is_none_is_refused(text):
    assert refused(text)[0] == "SEARCH_VALUE"


@pytest.mark.parametrize(
    ("operator", "value", "found", "holds"),
    [
        ("=", "a", ("a", "b"), True), ("=", "c", ("a", "b"), False), ("=", "a", (), False), ("=", "a", None, False),
        ("!=", "a", ("a", "b"), False), ("!=", "c", ("a", "b"), True), ("!=", "c", (), True), ("!=", "c", None, False),
        ("~", "AB", ("xaby",), True), ("~", "ab", ("xy",), False), ("~", "ab", (), False),
        ("=", "0.60", 0.6, True), ("!=", "0.6", 0.6, False), ("!=", "1", None, False),
        (">=", "0.6", 0.6, True), (">", "0.6", 0.6, False), ("<=", "0.6", 0.6, True), ("<", "0.7", 0.6, True), ("<", "0.6", None, False),
        (">=", "2026-01-02", ("2026-01-02T00:00:00",), True), ("<", "2026-01-02", ("2026-01-02T00:00:00",), False),
    ],
)  # fmt: skip
def test_what_operators_mean(operator, value, found, holds):
    assert SearchCondition("f", operator, value).holds(found) is holds
