"""Where a version comes from: its files, its patients, its teacher."""

from __future__ import annotations

from data_contracts import CheckOutcome, Role
from medkd.promotion.check_provenance import check_integrity, check_leakage, check_lineage
from tests.promotion.versions import bundle, setting_of


def test_a_patient_that_was_trained_on_is_named(registry, make):
    (check,) = check_leakage(setting_of(registry, make(trained_on=("trained0", "tested3"))))
    assert (check.outcome, check.value) == (CheckOutcome.FAILS, 1)
    assert check.reason == "1 of 20 tested patients are among the 2 that were trained on: tested3"
    (check,) = check_leakage(setting_of(registry, make(mark="clean")))
    assert check.outcome is CheckOutcome.HOLDS
    (check,) = check_leakage(setting_of(registry, make(mark="mute", results=False)))
    assert (check.outcome, check.refuses) == (CheckOutcome.NOT_MEASURED, True)


def test_explanations_of_other_weights_are_no_evidence(registry, make, tmp_path):
    from medkd.registry.publish import pack_archive

    model, foreign = make(), bundle("f" * 64)
    archive = tmp_path / f"{model.name}-{model.version}.zip"
    pack_archive(archive, {"index.json": foreign.canonical_json()})
    registry.attach(model, {"explanations": archive}, {"medkd.explanations": foreign.digest()})
    (check,) = check_integrity(setting_of(registry, model))
    assert check.outcome is CheckOutcome.FAILS
    assert "the explanations is of the weights ffffffffffff" in check.reason
    registry.attach(model, {}, {"medkd.explanations": "0" * 64})
    (check,) = check_integrity(setting_of(registry, model))
    assert "the version's tag names 000000000000" in check.reason
    assert setting_of(registry, model).subject.bundle is None


def test_the_teacher_must_be_there_unaltered_and_the_one_of_the_weights(registry, make):
    teacher = make(name="r-teacher", role=Role.TEACHER)
    student = make(teacher=teacher)
    (check,) = check_lineage(setting_of(registry, student), registry)
    assert check.outcome is CheckOutcome.HOLDS
    (check,) = check_lineage(setting_of(registry, teacher), registry)
    assert check.outcome is CheckOutcome.NOT_APPLICABLE
    (check,) = check_lineage(setting_of(registry, make(mark="lost", teacher=teacher.model_copy(update={"version": 7}))), registry)
    assert (check.outcome, "VERSION" in check.reason) == (CheckOutcome.FAILS, False)
    other = make(mark="digest", teacher=teacher.model_copy(update={"manifest_digest": "0" * 64}))
    (check,) = check_lineage(setting_of(registry, other), registry)
    assert "000000000000 when it was learned from" in check.reason
    weights = make(mark="weights", teacher=teacher.model_copy(update={"weights_digest": "0" * 64}))
    (check,) = check_lineage(setting_of(registry, weights), registry)
    assert "it learned from 000000000000" in check.reason
    (teacher_folder,) = {folder for _, folder in registry._versions["r-teacher"]}
    (teacher_folder / "weights.safetensors").write_bytes(b"other")
    (check,) = check_lineage(setting_of(registry, student), registry)
    assert "weights.safetensors" in check.reason
