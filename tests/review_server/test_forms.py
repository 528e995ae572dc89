from __future__ import annotations

import pytest

from data_contracts import FeedbackError
from medkd.review_server.forms import first, form_of_fields, read_fields, read_json_form


def test_fields_are_read_as_browsers_send_them():
    found = read_fields(b"a=1&b=%E4%B8%AD+x&a=2&c=")
    assert found == {"a": ["1", "2"], "b": ["中 x"], "c": [""]}
    assert (first(found, "a"), first(found, "z")) == ("1", "")


@pytest.mark.parametrize("body", [b"a=%ff", b"\xff", b"&".join([b"a=1"] * 20_001)])
def test_what_is_no_form_is_refused(body):
    with pytest.raises(FeedbackError) as caught:
        read_fields(body)
    assert caught.value.code == "FORM_UNREADABLE"


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"null", b"[" * 100_000, b'{"verdicts": [{"finding": "<b>", "prediction": "x"}]}'])
def test_json_that_is_no_form_is_refused_without_repeating_it(body):
    with pytest.raises(FeedbackError) as caught:
        read_json_form(body)
    assert caught.value.code == "FEEDBACK_FORM"
    assert "<b>" not in caught.value.message


def test_what_is_missing_is_named_by_its_finding():
    fields = {"prediction.lesion-3": ["agree"], "likert.useful": ["9"], "decision": [""]}
    with pytest.raises(FeedbackError) as caught:
        form_of_fields(fields, {})
    for name in ("lesion-3.explanation", "decision", "form"):
        assert f"in {name}" in caught.value.message, caught.value.message
