"""The teacher gate: alignment copies whatever the teacher looks at, so the teacher is judged before anybody copies it."""

from __future__ import annotations

import torch

from data_contracts import Checkpoint, CohortSet, GateFinding, GateVerdict, Recipe, TaskKind, TeacherRefused
from medkd.attribution.cam import cam
from medkd.cohorts.open_cohort import open_pictures, open_volume_use
from medkd.cohorts.tensor_cohort import open_use
from medkd.evaluation.evaluate_volumes import mean_foreground_dice
from medkd.inference.predict import predict_class_maps, predict_logits
from medkd.measures.auc import auc
from medkd.measures.dice import dice
from medkd.measures.marker_effect import marker_effect
from medkd.measures.mass_in_lesion import mass_in_lesion
from medkd.models._load import load_network
from medkd.storage.workspace import Workspace, stage
from medkd.targets import class_margin


@stage
def judge_teacher(workspace: Workspace, recipe: Recipe, cohorts: CohortSet, teacher: Checkpoint) -> GateVerdict:
    """Measure what the recipe's gate asks of a teacher, on ``teacher_validation`` (and the marker on its pairs)."""
    measured = _measure(workspace, recipe, cohorts, teacher)
    gate = recipe.teacher.gate
    wanted = {
        "min_auc": gate.min_auc,
        "min_dice": gate.min_dice,
        "min_mass_in_lesion": gate.min_mass_in_lesion,
        "max_marker_effect": gate.max_marker_effect,
    }
    findings = []
    for name, bound in wanted.items():
        quantity = name.split("_", 1)[1]
        if bound is None or quantity not in measured:
            continue
        value = measured[quantity]
        holds = value >= bound if name.startswith("min") else value <= bound
        findings.append(GateFinding(requirement=name, measured=value, bound=bound, holds=holds))
    return GateVerdict(subject=f"{recipe.name}/teacher", findings=tuple(findings), enforced=gate.enforce)


def require_fit_teacher(verdict: GateVerdict) -> None:
    """Refuse a teacher that failed an enforced gate.

    Raises:
        TeacherRefused: ``TEACHER_REFUSED``, naming each requirement that does not hold.
    """
    failed = [f"{f.requirement} {f.bound:g} (measured {f.measured:.3f})" for f in verdict.findings if not f.holds]
    if failed and verdict.enforced:
        raise TeacherRefused(
            "TEACHER_REFUSED",
            f"expected a teacher that may be copied, {verdict.subject} fails {', '.join(failed)}; set teacher.gate.enforce: false to distil all the same",
        )


def _measure(workspace: Workspace, recipe: Recipe, cohorts: CohortSet, teacher: Checkpoint) -> dict[str, float]:
    model = load_network(workspace, teacher)
    if recipe.task.spatial_dims == 3 and recipe.task.kind is TaskKind.SEGMENTATION:
        volumes = open_volume_use(cohorts, "teacher_validation", workspace.store, recipe.task)
        return {"dice": mean_foreground_dice(model, volumes, recipe.task)}
    cohort = open_pictures(cohorts, "teacher_validation", workspace.store, recipe.task)
    if recipe.task.kind is TaskKind.SEGMENTATION:
        answer = predict_logits(model, cohort.images, flips=recipe.task.test_time_flips).argmax(1)
        return {"dice": float(dice(answer, cohort.masks).nanmean())}
    logits, _, kept = predict_class_maps(model, cohort.images)
    measured = {"auc": float(auc(logits.softmax(1)[:, 1], cohort.labels))}
    if bool(cohort.has_mask.any()):
        maps = cam(kept, class_margin(logits.argmax(1)))
        measured["mass_in_lesion"] = float(mass_in_lesion(maps, cohort.masks).nanmean())
    if "marker_pairs" in cohorts.uses:
        pairs = predict_logits(model, open_use(cohorts, "marker_pairs", workspace.store, recipe.task).images).softmax(1)[:, 1]
        measured["marker_effect"] = float(marker_effect(pairs[0::2], pairs[1::2]).mean())
    return {name: value for name, value in measured.items() if value == value and torch.isfinite(torch.tensor(value))}
