"""A policy settles what was found, and cannot ask for what nobody can verify."""

from __future__ import annotations

import pytest

from data_contracts import Action, ContractError, IngestCode, IngestPolicy


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
