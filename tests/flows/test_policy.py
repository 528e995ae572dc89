from __future__ import annotations

import pytest

from data_contracts import Action, ContractError, IngestCode, IngestPolicy
from flows.policy import read_policy


def test_without_a_policy_every_code_does_what_it_does_by_itself():
    assert read_policy(None) == IngestPolicy()


@pytest.mark.parametrize("name", ["reject", "repair", "accept_with_flag"])
def test_one_word_is_an_action_for_all_codes(name):
    assert read_policy(name).every is Action(name)


def test_a_file_says_it_code_by_code(tmp_path):
    (tmp_path / "p.yaml").write_text("every: repair\nactions:\n  GANTRY_TILT: accept_with_flag\n")
    policy = read_policy(str(tmp_path / "p.yaml"))
    assert (policy.every, policy.actions) == (Action.REPAIR, {IngestCode.GANTRY_TILT: Action.ACCEPT_WITH_FLAG})
    (tmp_path / "empty.yaml").write_text("")
    assert read_policy(str(tmp_path / "empty.yaml")) == IngestPolicy()


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        (None, "POLICY_UNREADABLE", "expected one of reject, repair, accept_with_flag, or a YAML file"),
        ("every: perhaps", "POLICY_UNREADABLE", "expected a policy in"),
        ("actions: [", "POLICY_UNREADABLE", "p.yaml"),
        ("actions: {TOO_FEW_SLICES: repair}", "POLICY_NOT_ALLOWED", "TOO_FEW_SLICES"),
    ],
)
def test_what_is_no_policy_is_one_sentence(tmp_path, text, code, said):
    path = tmp_path / "p.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ContractError, match=said) as caught:
        read_policy(str(path))
    assert caught.value.code == code


def test_ignoring_is_no_policy():
    with pytest.raises(ContractError):
        read_policy("ignore")
