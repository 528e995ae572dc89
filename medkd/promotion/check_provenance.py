"""Checks of where a version comes from: every file is what was registered, nobody tested was trained on, the teacher is there."""

from __future__ import annotations

from data_contracts import CheckOutcome, ModelRef, PromotionCheck, RegistryError, Role
from medkd.promotion.checks import Check, PromotionSetting, not_applicable, outcome_of
from medkd.promotion.version_records import VersionRecords
from medkd.registry.interface import Registry

#: Patients that are named in a sentence; keys are pseudonyms.
_MOST_NAMED = 5


def check_integrity(setting: PromotionSetting) -> Check:
    """Yield whether what lies in and beside the version belongs to its weights; its bytes were verified when it was fetched."""
    problems, model = setting.subject.problems, setting.subject.model
    held = (
        f"every file is the one that was registered (manifest {model.manifest_digest[:12]}), all of the weights {model.weights_digest[:12]}"
    )
    yield PromotionCheck(
        theme="integrity",
        name="integrity",
        outcome=outcome_of(not problems),
        value=len(problems),
        threshold=0,
        reason="; ".join(problems) if problems else held,
    )


def altered(error: RegistryError) -> PromotionCheck:
    """Return the check of a version whose files are not those that were registered: nothing else may be read from it."""
    return PromotionCheck(theme="integrity", name="integrity", outcome=CheckOutcome.FAILS, value=1, threshold=0, reason=str(error))


def check_leakage(setting: PromotionSetting) -> Check:
    """Yield whether a patient of the tests is among those that the version, or its teacher, was trained on."""
    training, results = setting.subject.training, setting.subject.results
    if training is None or results is None:
        missing = "training manifest" if training is None else "per-case results"
        yield setting.not_measured("leakage", "leakage", f"the version has no {missing}, so nobody can say")
        return
    tested = {patient for units in results.units.values() for patient in units.patient_keys}
    shared = sorted(tested & set(training.patients))
    named = f": {', '.join(shared[:_MOST_NAMED])}{' and others' if len(shared) > _MOST_NAMED else ''}" if shared else ""
    yield PromotionCheck(
        theme="leakage",
        name="leakage",
        outcome=outcome_of(not shared),
        value=len(shared),
        threshold=0,
        reason=f"{len(shared)} of {len(tested)} tested patients are among the {len(training.patients)} that were trained on{named}",
    )


def check_lineage(setting: PromotionSetting, registry: Registry) -> Check:
    """Yield whether the teacher that a student learned from is registered, unaltered, and the one that its weights say."""
    yield lineage_check(setting.subject, registry)


def lineage_check(subject: VersionRecords, registry: Registry) -> PromotionCheck:
    """Return the check of a version's lineage."""
    model, learned_from = subject.model, subject.checkpoint.teacher_digest
    if learned_from is None and model.teacher is None:
        who = "a teacher" if model.role is Role.TEACHER else "a student that learned from no teacher"
        return not_applicable("lineage", "lineage", f"{model.name} {model.version} is {who}")
    problem, teacher = _broken(model, learned_from, registry)
    return PromotionCheck(
        theme="lineage",
        name="lineage",
        outcome=outcome_of(problem is None),
        reason=problem or f"it learned from {teacher}, which is registered with every byte as it was then",
    )


def _broken(model: ModelRef, learned_from: str | None, registry: Registry) -> tuple[str | None, str]:
    """Return what is wrong with the lineage of a version, and its teacher."""
    if model.teacher is None:
        return f"it learned from the weights {(learned_from or '')[:12]} and names no registered teacher", ""
    try:
        teacher, _ = registry.fetch(model.teacher.uri)
    except RegistryError as error:
        return f"its teacher {model.teacher.uri} cannot be verified: {error}", ""
    if teacher.manifest_digest != model.teacher.manifest_digest:
        said = f"{model.teacher.manifest_digest[:12]} when it was learned from, is {teacher.manifest_digest[:12]} now"
        return f"its teacher {teacher.uri} was {said}", teacher.uri
    if learned_from is not None and teacher.weights_digest != learned_from:
        return f"its teacher {teacher.uri} has the weights {teacher.weights_digest[:12]}, it learned from {learned_from[:12]}", teacher.uri
    return None, teacher.uri
