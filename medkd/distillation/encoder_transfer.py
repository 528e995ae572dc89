"""The fusion below the head: what a block of the student's encoder attributes to the teacher's answer follows the teacher's encoder."""

from __future__ import annotations

from typing import Literal

from medkd.distillation._encoder_map import Method, student_map, teacher_map
from medkd.distillation._reduce import over_batch, require_teacher, squared_distance, unit_norm
from medkd.knowledge.interface import Knowledge
from medkd.knowledge.targets import teacher_target
from medkd.task_context import TaskContext
from medkd.trace import ENCODER, Sample, Trace
from medkd.types import Scalar

NEEDS = frozenset({"teacher", "features", "encoder"})
TASKS = frozenset({"classification", "segmentation"})
SOURCE = "e2KD's comparison (2402.03119) at the encoder blocks of 2603.24801; closed form by activation difference: own"
RANGE = (0.0, float("inf"))
MINIMUM_AT_TEACHER = True


def encoder_transfer(
    student: Trace,
    teacher: Knowledge | None,
    sample: Sample,
    *,
    method: Method = "grad_cam",
    grid: int = 16,
    distance: Literal["cosine", "squared"] = "cosine",
    layer: str = ENCODER,
    teacher_layer: str = ENCODER,
) -> Scalar:
    """Return the distance of E_student(x, y) and E_teacher(x, y) at encoder blocks, y what the *teacher* answered, mean over cases with an answer.

    At the head of a segmentation the map is nearly the logit map, which the soft labels have said already; at the encoder it is not. Maps have one
    channel, so that blocks of any width compare. Distances are those of ``attribution_transfer``.

    Args:
        student: trace with the block tapped and a graph.
        teacher: gives its logits (the target) and its map, or its features.
        sample: weights of the cases.
        method: ``grad_cam`` of the block (double backward through what lies behind it: ask it every few steps with ``every``), or ``activation``, of a
            segmentation: the closed form of :func:`~medkd.distillation._encoder_map.activation_difference`, which a store can answer too.
        grid: maps are averaged to at most this many cells along each axis before they are compared.
        distance: ``cosine`` or ``squared``, in units of the teacher's mean squared norm.
        layer: the student's block: a name, or ``encoder`` for the deepest.
        teacher_layer: the teacher's.
    """
    knowledge = require_teacher(teacher, "encoder_transfer")
    target, present = teacher_target(knowledge)
    of_student = student_map(student, target, method, layer, grid)
    of_teacher = teacher_map(knowledge, target, method, teacher_layer, grid)
    if distance == "squared":
        return over_batch(squared_distance(of_student, of_teacher, present), sample, present)
    return over_batch(1 - (unit_norm(of_student) * unit_norm(of_teacher)).sum(1), sample, present)


def incompatible_reason(context: TaskContext, *, method: str = "grad_cam", **_: object) -> str | None:
    """The closed form needs a lesion, and a gradient needs a live teacher."""
    if method == "activation" and context.task == "classification":
        return "method 'activation' compares lesion and rest, and a classification has no lesion; use method: grad_cam"
    if method == "grad_cam" and context.from_store:
        return "a knowledge store keeps features and not the gradients behind them; use method: activation, or knowledge: live"
    return None
