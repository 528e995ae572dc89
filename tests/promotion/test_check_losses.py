"""What a student lost against its teacher, as its registered statement says it."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from data_contracts import CheckOutcome, LossesPolicy, LossStatement, NotMeasuredPolicy, Role, load_record
from medkd.promotion.check_losses import check_losses
from medkd.promotion.check_promotion import judge
from medkd.promotion.version_records import read_version
from medkd.registry.interface import Publication
from medkd.registry.version_files import LOSS_STATEMENT
from medkd.storage.manifest import MANIFEST, pack_model
from tests.promotion.moves import code_of, to_champion
from tests.promotion.promoters import POLICY
from tests.promotion.versions import ROWS, by_name, policy, setting_of, units

#: Five of twenty patients were imaged by device b.
DEVICES = tuple("b" if row // 2 < 5 else "a" for row in range(ROWS))
GROUPED = units(device=DEVICES)


@pytest.fixture
def pair(make):
    """Return a maker of a student and its teacher on equal cases, the student's Dice chosen by device."""

    def made(**dice):
        teacher = make(name="r-teacher", role=Role.TEACHER, units=GROUPED, dice=0.8)
        values = [dice.get(device, 0.8) + 0.02 * ((row % 5) - 2) for row, device in enumerate(DEVICES)]
        return make(teacher=teacher, units=GROUPED, dice=values)

    return made


def test_a_loss_in_one_subgroup_is_refused_with_the_subgroup_named(registry, pair):
    student = pair(b=0.45)
    found = by_name(check_losses(setting_of(registry, student)))
    assert {name: one.outcome for name, one in found.items()} == {
        "cases": CheckOutcome.HOLDS,
        "small lesions": CheckOutcome.FAILS,
        "subgroup": CheckOutcome.FAILS,
        "calibration": CheckOutcome.NOT_APPLICABLE,
        "agreement of reasons": CheckOutcome.HOLDS,
    }
    subgroup = found["subgroup"]
    assert "Dice where device is b: 0.450 against the teacher's 0.800, worse by +0.350" in subgroup.reason
    assert (subgroup.threshold, subgroup.figure.n, round(subgroup.value, 2), round(subgroup.reference, 2)) == (0.2, 5, 0.45, 0.8)
    code, sentence = code_of(to_champion, registry, student)
    assert code == "PROMOTION_REFUSED"
    assert "where device is b" in sentence
    verdict = judge(registry, student, POLICY)
    assert "where device is b" in next(one for one in verdict.refusing if one.name == "subgroup").reason


def test_the_same_student_without_the_loss_is_the_champion(registry, pair):
    student = pair()
    assert {one.outcome for one in check_losses(setting_of(registry, student))} == {CheckOutcome.HOLDS, CheckOutcome.NOT_APPLICABLE}
    assert to_champion(registry, student).verdict.passed


def test_a_loss_that_is_not_sure_is_shown_and_refuses_nobody(registry, make):
    """The subgroup's worst loss is above the limit, its bound is not above zero: one patient of five is lost."""
    teacher = make(name="r-teacher", role=Role.TEACHER, units=GROUPED, dice=[0.9] * ROWS)
    student = make(teacher=teacher, units=GROUPED, dice=[0.0, 0.0, *[0.9] * (ROWS - 2)])
    wanted = policy(losses=LossesPolicy(subgroup=0.1))
    found = by_name(check_losses(setting_of(registry, student, policy=wanted)))["subgroup"]
    assert (found.outcome, found.figure.mean > found.threshold) == (CheckOutcome.HOLDS, True)
    assert "not surely" in found.reason


@pytest.mark.parametrize(("asked", "refuses"), [("refuse", True), ("accept", False)])
def test_a_student_without_a_statement_is_refused_where_the_policy_asks_for_one(registry, make, asked, refuses):
    teacher = make(name="r-teacher", role=Role.TEACHER)
    student = make(teacher=teacher, losses=False)
    wanted = policy(not_measured=NotMeasuredPolicy(losses=asked))
    (check,) = check_losses(setting_of(registry, student, policy=wanted))
    assert (check.name, check.outcome, check.refuses) == ("loss statement", CheckOutcome.NOT_MEASURED, refuses)
    assert check.reason.startswith("not measured: the version has no loss statement; the policy")


def test_a_statement_against_another_teacher_or_of_other_weights_says_nothing(registry, pair):
    setting = setting_of(registry, pair())
    foreign = setting.subject.losses.model_copy(update={"teacher_digest": "f" * 64})
    (check,) = check_losses(replace(setting, subject=replace(setting.subject, losses=foreign)))
    assert (check.refuses, "against the weights ffffffffffff" in check.reason) == (True, True)
    empty = setting.subject.losses.model_copy(update={"figures": 0})
    (check,) = check_losses(replace(setting, subject=replace(setting.subject, losses=empty)))
    assert (check.refuses, "compares nothing" in check.reason) == (True, True)


def test_only_students_of_a_teacher_are_asked_and_only_what_the_policy_limits(registry, make, pair):
    (check,) = check_losses(setting_of(registry, make(name="r-alone")))
    assert (check.outcome, "learned from no teacher" in check.reason) == (CheckOutcome.NOT_APPLICABLE, True)
    nothing = policy(losses=LossesPolicy(**dict.fromkeys(LossesPolicy.model_fields)))
    (check,) = check_losses(setting_of(registry, pair(b=0.1), policy=nothing))
    assert check.outcome is CheckOutcome.NOT_APPLICABLE


def test_a_statement_of_other_weights_does_not_belong_to_the_version(registry, pair, tmp_path):
    own = pair()
    folder = tmp_path / "foreign"
    shutil.copytree(registry.fetch(own.uri)[1], folder)
    record = load_record(folder / LOSS_STATEMENT, LossStatement).model_copy(update={"weights_digest": "f" * 64})
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != MANIFEST}
    pack_model(folder, files | {LOSS_STATEMENT: record.canonical_json()})
    foreign = registry.register(Publication(name=own.name, folder=folder, role=own.role, weights_digest=own.weights_digest))
    assert read_version(registry, own.uri).problems == ()
    assert read_version(registry, foreign.uri).problems == ("loss_statement.json is of the weights ffffffffffff",)
