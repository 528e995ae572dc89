"""Aliases move by verdict and signature, in one order, and a repeated or interrupted promotion ends in the same state."""

from __future__ import annotations

from itertools import pairwise

import pytest

from data_contracts import PromotionVerdict, RegistryError, read_record
from medkd.promotion.check_promotion import check_promotion
from medkd.promotion.history import champions_of, promotion_events
from medkd.promotion.promote import Signatory, move_candidate, promote, promote_signed, verdicts_of
from medkd.promotion.rollback import rollback
from medkd.promotion.version_records import EXPLANATIONS
from tests.promotion.promoters import POLICY

NAME = "r-kd"
PERSON = Signatory("Dr Example", "reader", "I have read the verdict.")


def to_champion(registry, model):
    return promote_signed(registry, model.uri, POLICY, to="champion", signatory=PERSON)


def code_of(call, *arguments, **options):
    with pytest.raises(RegistryError) as caught:
        call(*arguments, **options)
    return caught.value.code, str(caught.value)


class Killed(BaseException):
    """Stands for the end of a process between two writes."""


def killed_before(registry, step):
    """Let the registry end the caller before its write number ``step``, once."""
    written = [0]
    for name in ("attach", "set_alias", "set_name_tag"):
        own = getattr(registry, name)

        def call(*arguments, own=own):
            if written[0] == step:
                written[0] += 1
                raise Killed
            written[0] += 1
            return own(*arguments)

        setattr(registry, name, call)


def test_a_student_that_gains_dice_and_loses_its_reasons_is_refused_with_both_figures(registry, make):
    to_champion(registry, make(mark="old", dice=0.75, evidence=0.65))
    shortcut = make(mark="shortcut", dice=0.85, evidence=0.30)
    code, sentence = code_of(to_champion, registry, shortcut)
    assert code == "PROMOTION_REFUSED"
    assert "evidence: relevance_mass_accuracy 0.300 against the champion's 0.650: difference -0.350" in sentence
    assert "at its task: dice 0.850 against the champion's 0.750: difference +0.100" in sentence
    assert registry.aliases(NAME)["champion"] == 1
    kept = registry.fetch_attached(shortcut.uri, f"promotion/{next(iter(verdicts_of(registry, shortcut)))}/verdict.json")
    verdict = read_record(kept.read_bytes(), PromotionVerdict)
    assert [check.theme for check in verdict.refusing] == ["evidence"]
    assert not verdict.passed


def test_a_champion_needs_a_signature_under_this_verdict(registry, make):
    first, second = make(mark="first"), make(mark="second")
    code, sentence = code_of(promote, registry, first.uri, POLICY, to="champion")
    assert code == "PROMOTION_UNSIGNED"
    assert "--signed-by" in sentence
    early = PERSON.sign(check_promotion(registry, second.uri, POLICY))
    to_champion(registry, first)
    code, sentence = code_of(promote, registry, second.uri, POLICY, to="champion", sign_off=early)
    assert code == "PROMOTION_UNSIGNED"
    assert early.verdict_digest[:12] in sentence
    assert registry.aliases(NAME) == {"champion": 1}


def test_champion_previous_and_history_agree(registry, make):
    models = [make(mark=str(number)) for number in range(3)]
    for model in models:
        assert to_champion(registry, model).changed
    assert registry.aliases(NAME) == {"champion": 3, "previous": 2}
    events = promotion_events(registry, NAME)
    assert [(e.number, e.version, e.before, e.done) for e in events] == [(1, 1, None, True), (2, 2, 1, True), (3, 3, 2, True)]
    for model, event in zip(models, events, strict=True):
        names = [f"promotion/{event.verdict}/{file}" for file in ("verdict.json", "verdict.md", "sign_off.json")]
        assert all(registry.fetch_attached(model.uri, name) is not None for name in names)
        assert registry.tags(model)[f"medkd.promotion.{event.verdict}"].startswith("passed ")


def test_a_repeated_promotion_changes_nothing(registry, make):
    first = to_champion(registry, make())
    tags, names = dict(registry.version_tags), registry.name_tags(NAME)
    again = to_champion(registry, first.model)
    assert (again.changed, again.verdict, again.event) == (False, first.verdict, first.event)
    assert (registry.version_tags, registry.name_tags(NAME)) == (tags, names)


def test_a_verdict_is_made_anew_when_explanations_or_champion_change(registry, make):
    first, second = make(mark="first"), make(mark="second")
    verdict = check_promotion(registry, second.uri, POLICY)
    assert check_promotion(registry, second.uri, POLICY) == verdict
    registry.attach(second, {}, {EXPLANATIONS: "0" * 64})
    other = check_promotion(registry, second.uri, POLICY)
    assert other.id != verdict.id
    to_champion(registry, first)
    assert check_promotion(registry, second.uri, POLICY).compared_with == first.lineage
    assert len(verdicts_of(registry, second)) == 3


def test_a_candidate_may_fail_and_its_verdict_says_so(registry, make):
    done = promote(registry, make(dice=0.3).uri, POLICY)
    assert registry.aliases(NAME) == {"candidate": 1}
    assert not done.verdict.passed
    assert done.changed
    assert not promote(registry, f"models:/{NAME}@candidate", POLICY).changed


def test_a_version_with_a_flipped_byte_is_refused_by_name_and_nothing_is_read_from_it(registry, make):
    model = make()
    (registry._versions[NAME][0][1] / "case_results.json").write_bytes(b"{}")
    verdict = check_promotion(registry, model.uri, POLICY)
    (check,) = verdict.checks
    assert (check.theme, verdict.passed) == ("integrity", False)
    assert "case_results.json" in check.reason


@pytest.mark.parametrize("step", range(9))
def test_a_promoter_that_ends_between_two_writes_is_finished_by_the_next(registry, make, step):
    """Before the event is written nothing has moved; from then on the next one finishes it, whoever that is."""
    old, new, third = make(mark="old"), make(mark="new"), make(mark="third")
    to_champion(registry, old)
    killed_before(registry, step)
    try:
        to_champion(registry, new)
    except Killed:
        assert registry.aliases(NAME)["champion"] in (1, 2)
    to_champion(registry, new)
    assert registry.aliases(NAME) == {"champion": 2, "previous": 1}
    assert [(e.version, e.before, e.done) for e in promotion_events(registry, NAME)] == [(1, None, True), (2, 1, True)]
    to_champion(registry, third)
    assert registry.aliases(NAME) == {"champion": 3, "previous": 2}


def test_another_promoter_finishes_what_a_killed_one_began(registry, make):
    old, new, third = make(mark="old"), make(mark="new"), make(mark="third")
    to_champion(registry, old)
    check_promotion(registry, new.uri, POLICY)
    killed_before(registry, 3)  # sign-off, its tag, the event; then the aliases
    with pytest.raises(Killed):
        to_champion(registry, new)
    assert [event.done for event in promotion_events(registry, NAME)] == [True, False]
    with pytest.raises(RegistryError) as caught:
        to_champion(registry, third)
    assert caught.value.code == "PROMOTION_UNSIGNED"
    to_champion(registry, third)
    assert [(e.version, e.before) for e in promotion_events(registry, NAME)] == [(1, None), (2, 1), (3, 2)]


def test_rollback_goes_back_one_champion_after_another(registry, make):
    for number in range(3):
        to_champion(registry, make(mark=str(number)))
    done = rollback(registry, NAME)
    assert (done.model.version, registry.aliases(NAME)) == (2, {"champion": 2, "previous": 1})
    rollback(registry, NAME)
    assert registry.aliases(NAME) == {"champion": 1}
    code, sentence = code_of(rollback, registry, NAME)
    assert code == "NOTHING_TO_ROLL_BACK"
    assert "champion at 1" in sentence
    events = promotion_events(registry, NAME)
    assert [(e.kind, e.version, e.before) for e in events[3:]] == [("rollback", 2, 3), ("rollback", 1, 2)]
    assert champions_of(events) == [1]


def test_a_champion_that_was_gone_back_from_is_not_the_previous_one(registry, make):
    first, second = make(mark="first"), make(mark="second")
    to_champion(registry, first)
    to_champion(registry, second)
    rollback(registry, NAME)
    to_champion(registry, make(mark="third"))
    assert registry.aliases(NAME) == {"champion": 3, "previous": 1}


@pytest.mark.parametrize("file", ["weights.safetensors", "case_results.json", "training_manifest.json"])
def test_rollback_refuses_a_flipped_byte_and_names_the_file(registry, make, file):
    for mark in ("first", "second"):
        to_champion(registry, make(mark=mark))
    path = registry._versions[NAME][0][1] / file
    payload = bytearray(path.read_bytes())
    payload[len(payload) // 2] ^= 1
    path.write_bytes(payload)
    code, sentence = code_of(rollback, registry, NAME)
    assert (code, file in sentence) == ("VERSION_ALTERED", True)
    assert registry.aliases(NAME) == {"champion": 2, "previous": 1}
    assert len(promotion_events(registry, NAME)) == 2


def test_rollback_refuses_a_version_whose_teacher_was_altered(registry, make):
    from data_contracts import Role

    teacher = make(name="r-teacher", role=Role.TEACHER)
    for mark in ("first", "second"):
        to_champion(registry, make(mark=mark, teacher=teacher))
    (registry._versions["r-teacher"][0][1] / "weights.safetensors").write_bytes(b"other")
    code, sentence = code_of(rollback, registry, NAME)
    assert code == "ROLLBACK_REFUSED"
    assert "weights.safetensors" in sentence


def test_a_rollback_that_was_cut_short_goes_back_once(registry, make):
    for number in range(3):
        to_champion(registry, make(mark=str(number)))
    killed_before(registry, 1)
    with pytest.raises(Killed):
        rollback(registry, NAME)
    assert rollback(registry, NAME).model.version == 2
    assert registry.aliases(NAME) == {"champion": 2, "previous": 1}


def test_an_alias_that_somebody_else_moves_is_seen(registry, make, monkeypatch):
    model, own = make(), registry.set_alias
    make(mark="other")
    monkeypatch.setattr(registry, "set_alias", lambda name, alias, _version: own(name, alias, 2))
    code, sentence = code_of(move_candidate, registry, model)
    assert (code, "at 2" in sentence) == ("ALIAS_MOVED", True)
    code, _ = code_of(to_champion, registry, model)
    assert code == "ALIAS_MOVED"


def test_a_champion_set_by_hand_is_what_is_compared_with_and_gone_back_to(registry, make):
    first, second = make(mark="first"), make(mark="second")
    registry.set_alias(NAME, "champion", first.version)
    assert to_champion(registry, second).verdict.compared_with == first.lineage
    assert rollback(registry, NAME).model == first
    assert all(later.number == earlier.number + 1 for earlier, later in pairwise(promotion_events(registry, NAME)))
