"""The teacher gate: alignment copies whatever the teacher looks at, so the teacher is judged before anybody copies it."""

from __future__ import annotations

import math

from data_contracts import Checkpoint, CohortSet, Gate, GateFinding, GateVerdict, Subset, TaskKind, TeacherGateError
from medkd.attribution.cam import cam
from medkd.cohorts.open_cohort import open_pictures, open_volume_use
from medkd.cohorts.tensor_cohort import open_use
from medkd.evaluation.class_figures import class_figures
from medkd.evaluation.evaluate_detection import mean_sensitivity
from medkd.evaluation.validate import mean_auc, mean_over_foreground
from medkd.inference.predict import predict_class_maps, predict_logits
from medkd.measures.auc import auc
from medkd.measures.dice import dice
from medkd.measures.marker_effect import marker_effect
from medkd.measures.relevance_mass_accuracy import relevance_mass_accuracy
from medkd.models._load import load_network
from medkd.storage.stage import stage
from medkd.storage.workspace import Workspace
from medkd.targets import class_margin

#: Of each figure, why it is undefined where it is: on data that should show it, so that the bound does not hold.
_UNDEFINED = {
    "auc": "undefined on teacher_validation, whose labels are of one class",
    "dice": "undefined on teacher_validation, where neither references nor answers show a structure",
    "relevance_mass_accuracy": "undefined on teacher_validation: the class maps are zero where there are masks",
    "marker_effect": "undefined on the marker pairs",
    "cpm": "undefined on teacher_validation, which shows no lesion",
}
#: Of each figure that not all data can show, why it is not there.
_ABSENT = {"relevance_mass_accuracy": "no case of teacher_validation has a mask", "marker_effect": "the data has no marker pairs"}


@stage
def judge_teacher(
    workspace: Workspace, recipe: str, gate: Gate, cohorts: CohortSet, teacher: Checkpoint, per_class: bool = False
) -> GateVerdict:
    """Measure what a recipe's gate asks of its teacher, on ``teacher_validation`` (and the marker on its pairs).

    Args:
        workspace: where cohorts and weights lie.
        recipe: name of the recipe.
        gate: what is asked.
        cohorts: of the recipe.
        teacher: checkpoint of one network of a teacher.
        per_class: also measure each class: an arm weighs its teachers by that.
    """
    measured = _measure(workspace, cohorts, teacher)
    wanted = {
        "min_auc": gate.min_auc,
        "min_dice": gate.min_dice,
        "min_relevance_mass_accuracy": gate.min_relevance_mass_accuracy,
        "max_marker_effect": gate.max_marker_effect,
        "min_cpm": gate.min_cpm,
    }
    findings, absent = [], {}
    for name, bound in wanted.items():
        quantity = name.split("_", 1)[1]
        if bound is None:
            continue
        # What the data cannot show (no masks, no pairs) is no failure: it is said beside the findings.
        if quantity not in measured and quantity in _ABSENT and teacher.task.kind is TaskKind.CLASSIFICATION:
            absent[name] = _ABSENT[quantity]
        else:
            findings.append(_finding(name, bound, measured.get(quantity), _UNDEFINED[quantity] if quantity in measured else ""))
    figures = class_figures(workspace, cohorts, teacher) if per_class else {}
    return GateVerdict(
        subject=f"{recipe}/{teacher.arm}", findings=tuple(findings), enforced=gate.enforce, class_figures=figures, not_measured=absent
    )


def _finding(name: str, bound: float, value: float | None, undefined: str) -> GateFinding:
    """Return whether a bound holds; a value that is None (not measured of the kind of task) or not finite holds none."""
    if value is None or not math.isfinite(value):
        why = undefined or "not measured: the gate asks for a figure of another kind of task"
        return GateFinding(requirement=name, measured=None, bound=bound, holds=False, why=why)
    return GateFinding(requirement=name, measured=value, bound=bound, holds=value >= bound if name.startswith("min") else value <= bound)


def refusal(verdict: GateVerdict) -> str:
    """Return why a teacher may not be copied; empty where it may."""
    failed = [finding.said for finding in verdict.findings if not finding.holds]
    if not failed or not verdict.enforced:
        return ""
    return f"expected a teacher that may be copied, {verdict.subject} fails {', '.join(failed)}; set its gate.enforce: false to distil all the same"


def require_fit_teacher(verdict: GateVerdict) -> None:
    """Refuse a teacher that failed an enforced gate.

    Raises:
        TeacherGateError: ``TEACHER_REFUSED``, naming each requirement that does not hold.
    """
    sentence = refusal(verdict)
    if sentence:
        raise TeacherGateError("TEACHER_REFUSED", sentence)


def _measure(workspace: Workspace, cohorts: CohortSet, teacher: Checkpoint) -> dict[str, float]:
    """Return what the data can show of a teacher; NaN where that is undefined."""
    model, task = load_network(workspace, teacher), teacher.task
    if task.kind is TaskKind.DETECTION:
        return {"cpm": mean_sensitivity(model, cohorts, Subset.TEACHER_VALIDATION, workspace.store, task)}
    if task.spatial_dims == 3 and task.kind is TaskKind.SEGMENTATION:
        volumes = open_volume_use(cohorts, Subset.TEACHER_VALIDATION, workspace.store, task)
        return {"dice": mean_over_foreground(model, volumes, task, dice)}
    cohort = open_pictures(cohorts, Subset.TEACHER_VALIDATION, workspace.store, task)
    if task.kind is TaskKind.SEGMENTATION:
        answer = predict_logits(model, cohort.images, flips=task.test_time_flips).argmax(1)
        return {"dice": float(dice(answer, cohort.masks).nanmean())}
    logits, _, kept = predict_class_maps(model, cohort.images)
    measured = {"auc": float(mean_auc(auc, logits.softmax(1), cohort.labels))}
    if bool(cohort.masks[cohort.has_mask].any()):
        # The teacher's own answer is explained, right or wrong: that is what students will copy.
        maps = cam(kept, class_margin(logits.argmax(1)))
        measured["relevance_mass_accuracy"] = float(relevance_mass_accuracy(maps, cohort.masks).nanmean())
    if Subset.MARKER_PAIRS in cohorts.uses:
        pairs = predict_logits(model, open_use(cohorts, Subset.MARKER_PAIRS, workspace.store, task).images).softmax(1)[:, 1]
        # Pairs lie side by side in the cohort.
        measured["marker_effect"] = float(marker_effect(pairs[0::2], pairs[1::2]).mean())
    return measured
