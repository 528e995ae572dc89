"""Forms that browsers send without scripts, read without a library of their own; and what becomes of the fields of the sign-off."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from pydantic import ValidationError

from data_contracts import FeedbackError, FeedbackForm
from data_contracts.feedback import LIKERT_ITEMS, MOST_COMMENT

#: Fields of the largest form: some per finding.
MOST_FIELDS = 20_000


def read_fields(body: bytes) -> dict[str, list[str]]:
    """Return the fields of a form as browsers send it (``application/x-www-form-urlencoded``), each with its values in order.

    Raises:
        FeedbackError: ``FORM_UNREADABLE``.
    """
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except (UnicodeDecodeError, ValueError) as error:
        raise FeedbackError("FORM_UNREADABLE", f"expected the fields of a form, got {len(body)} bytes that are none") from error
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def first(fields: Mapping[str, list[str]], name: str) -> str:
    """Return the first value of a field; empty where there is none."""
    return fields.get(name, [""])[0]


def read_json_form(body: bytes) -> FeedbackForm:
    """Return the form that a page's script sent.

    Raises:
        FeedbackError: ``FEEDBACK_FORM`` naming the fields that do not fit, and never repeating what they hold.
    """
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FeedbackError("FEEDBACK_FORM", f"expected JSON, got {len(body)} bytes that are none") from error
    if not isinstance(payload, dict):
        raise FeedbackError("FEEDBACK_FORM", f"expected a form, got {type(payload).__name__}")
    return _form(payload)


def form_of_fields(fields: Mapping[str, list[str]], known: Mapping[str, Any]) -> FeedbackForm:
    """Return the form that a browser without scripts sent.

    Args:
        fields: as the browser sent them.
        known: what the server knows better: report, study, own read, times, version.

    Raises:
        FeedbackError: ``FEEDBACK_FORM``, naming what is missing.
    """
    findings = [name.removeprefix("explanation.") for name in fields if name.startswith("explanation.")]
    findings += [name.removeprefix("prediction.") for name in fields if name.startswith("prediction.")]
    verdicts = [
        {
            "finding": name,
            "prediction": first(fields, f"prediction.{name}"),
            "explanation": first(fields, f"explanation.{name}"),
            "reasons": fields.get(f"reasons.{name}", []),
        }
        for name in dict.fromkeys(findings)
    ]
    likert = {item: int(value) if (value := first(fields, f"likert.{item}")).isdigit() else None for item in LIKERT_ITEMS}
    return _form(
        {
            **known,
            "form": first(fields, "form"),
            "decision": first(fields, "decision"),
            "verdicts": verdicts,
            "likert": {item: points for item, points in likert.items() if points is not None},
            "comment": first(fields, "comment").replace("\r\n", "\n").strip(),
            "supersedes": first(fields, "supersedes") or None,
        }
    )


def _form(payload: Mapping[str, Any]) -> FeedbackForm:
    try:
        return FeedbackForm.model_validate(payload)
    except ValidationError as error:
        raise FeedbackError(
            "FEEDBACK_FORM", "; ".join(dict.fromkeys(_problem(one, payload) for one in error.errors())) or "expected a form, got another"
        ) from None


def _problem(found: Any, payload: Mapping[str, Any]) -> str:
    """Return what is wrong with a field without what it holds, which may be anything."""
    place = [str(part) for part in found["loc"]]
    if place[:1] == ["verdicts"] and len(place) > 2:
        finding = str(payload["verdicts"][found["loc"][1]].get("finding", ""))
        place[:2] = [finding if re.fullmatch(r"(lesion|answer|teacher)-[1-9][0-9]*", finding) else "verdicts"]
    name = ".".join(place) or "form"
    if place[:1] == ["comment"] and found["type"] == "string_too_long":
        return f"expected at most {MOST_COMMENT} characters in comment, got more"
    if found["type"] == "missing":
        return f"expected a value in {name}, got none"
    if found["type"] == "literal_error" and not found["input"]:
        return f"expected an answer in {name}, got none"
    if found["type"] == "value_error" and re.search("likert|masks where", found["msg"]):
        return f"{name}: {found['msg'].removeprefix('Value error, ')}"
    return f"expected another value in {name} ({found['type']})"
