"""A policy settles what was found, and cannot ask for what nobody can verify."""

from __future__ import annotations

import pytest

from data_contracts import Action, ContractError, IngestCode, IngestError, IngestPolicy
from medkd.dicom.findings import Findings


@pytest.mark.parametrize(
    ("code", "action"),
    [
        (IngestCode.TOO_FEW_SLICES, Action.REPAIR),
        (IngestCode.VARIABLE_SPACING, Action.ACCEPT_WITH_FLAG),
        (IngestCode.NOT_DICOM, Action.REPAIR),
    ],
)
def test_a_policy_cannot_ask_for_what_cannot_be_proved(code, action):
    with pytest.raises(ContractError, match=f"for {code.value}, got {action.value}") as caught:
        IngestPolicy(actions={code: action})
    assert caught.value.code == "POLICY_NOT_ALLOWED"


CODE = IngestCode.MISSING_SLICES


@pytest.mark.parametrize("action", [Action.REPAIR, Action.REJECT])
def test_a_finding_is_settled_as_the_policy_says(action):
    findings = Findings(IngestPolicy(actions={CODE: action}))
    if action is Action.REJECT:
        with pytest.raises(IngestError, match="a slice") as caught:
            findings.resolve(CODE, "expected a slice", {"missing": 1})
        assert (caught.value.ingest_code, findings.flags) == (CODE, {})
        return
    assert findings.resolve(CODE, "expected a slice", {"missing": 1}) is action
    assert findings.flags == {CODE: {"missing": 1, "action": action.value}}


def test_what_this_case_does_not_allow_is_not_repaired():
    with pytest.raises(IngestError):
        Findings(IngestPolicy(every=Action.REPAIR)).resolve(CODE, "expected a slice", {}, repairable=False)


def test_the_first_evidence_stays():
    findings = Findings(IngestPolicy(every=Action.REPAIR))
    findings.note(CODE, {"first": 1})
    findings.resolve(CODE, "expected a slice", {"second": 2})
    assert findings.flags == {CODE: {"first": 1}}
