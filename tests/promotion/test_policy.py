"""The policy file: what is shipped, and what is said of mistakes."""

from __future__ import annotations

import pytest

from data_contracts import PromotionPolicy, RegistryError
from medkd.promotion.policy import DEFAULT_POLICY, read_policy


def refused(tmp_path, text):
    path = tmp_path / "site.yaml"
    path.write_text(text)
    with pytest.raises(RegistryError) as caught:
        read_policy(path)
    return caught.value.code, str(caught.value)


def test_the_shipped_policy_is_the_defaults_and_says_all_of_them():
    shipped = read_policy()
    assert shipped == PromotionPolicy(name="default", description=shipped.description)
    text = DEFAULT_POLICY.read_text(encoding="utf-8")
    for part in PromotionPolicy.model_fields:
        assert f"{part}:" in text
        for field in getattr(type(getattr(shipped, part)), "model_fields", ()):
            assert f"  {field}:" in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: site\ntask:\n  margn: 0.1\n", ("task.margn", "site.yaml:3", "did you mean 'margin'")),
        ("name: site\nevidnce: {}\n", ("site.yaml:2", "did you mean 'evidence'")),
        ("name: site\nsubgroups: {min_patients: 1}\n", ("greater than or equal to 2", "subgroups.min_patients")),
        ("name: site\nnot_measured:\n  task: acept\n", ("did you mean 'accept'", "site.yaml:3")),
        ("task: {margin: -1}\nevidence: {margin: x}\n", ("and 2 more mistakes",)),
        ("name: site\nschema_version: promotion_policy/9\n", ("promotion_policy/9",)),
    ],
)
def test_a_mistake_is_said_with_its_line_and_what_was_meant(tmp_path, text, words):
    code, sentence = refused(tmp_path, text)
    assert code == "POLICY_INVALID"
    assert all(word in sentence for word in words), sentence


def test_what_is_no_policy_at_all(tmp_path):
    assert refused(tmp_path, "- a\n")[0] == "POLICY_UNREADABLE"
    assert refused(tmp_path, "name: a\nname: b\n")[0] == "POLICY_UNREADABLE"
    with pytest.raises(RegistryError) as caught:
        read_policy(tmp_path / "nothing.yaml")
    assert caught.value.code == "POLICY_MISSING"


def test_a_policy_from_before_losses_were_asked_about_asks_nothing_of_them(tmp_path):
    path = tmp_path / "site.yaml"
    path.write_text("schema_version: promotion_policy/1\nname: site\nnot_measured:\n  task: accept\n")
    policy = read_policy(path)
    assert set(policy.losses.model_dump().values()) == {None}
    assert (policy.not_measured.losses, policy.not_measured.task) == ("accept", "accept")
    path.write_text("name: site\n")
    assert (read_policy(path).losses.subgroup, read_policy(path).not_measured.losses) == (0.2, "refuse")
