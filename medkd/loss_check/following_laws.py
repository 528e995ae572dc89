"""Laws of following a term: its own value falls, and by more than regularisation or another patient's teacher would make it fall."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from medkd.distillation._reduce import divergence
from medkd.loss_check.asking import Case, follow, gradient_of, weights_of
from medkd.loss_check.small_networks import SmallNetwork, with_other_patients
from medkd.loss_check.value_laws import reads_teacher
from medkd.loss_check.verdict import LawVerdict, held, verdict

LOWERS, NOT_REGULARISATION = "following it lowers it", "not explained by regularisation"
SEEDS, STEPS, LENGTHS = (0, 1, 2), 4, (0.02, 0.005)
Direction = Callable[[SmallNetwork], Tensor]


def lowers_itself(case: Case) -> LawVerdict:
    """A few steps against its gradient, and the value is lower on the same batch."""
    student = case.setting.student(0)
    before = float(case.value(student).detach())
    for length in (*LENGTHS, LENGTHS[-1] / 10):  # a term that bends sharply is followed in smaller steps
        student = case.setting.student(0)
        follow(student, lambda student=student: case.gradient(student), steps=STEPS, length=length)  # type: ignore[misc]
        after = float(case.value(student).detach())
        if after < before:
            break
    return held(
        LOWERS,
        after < before - 1e-7 * abs(before),
        f"{before:.4g} to {after:.4g} in {STEPS} steps",
        f"{before:.4g} to {after:.4g} in {STEPS} steps against its own gradient: what is followed is not the value (or there is nothing to follow)",
        before=before,
        after=after,
    )


def beats_regularisation(case: Case) -> LawVerdict:
    """On cases that were not followed the value falls by more than under other steps, mean over three students, each way at its better step length of two.

    The others: weight decay, noise, label smoothing, and, of a term with a teacher, the term itself with the teacher's answers about other patients.
    """
    student = case.setting.student(0)
    if float(case.gradient(student).norm()) == 0:
        return verdict(NOT_REGULARISATION, "not applicable", "there is no gradient to follow")
    routes = {"the term": lambda student: case.gradient(student), **_controls(case)}
    gains = {name: _gain(case, direction) for name, direction in routes.items()}
    own = gains.pop("the term")
    best = max(gains, key=lambda name: gains[name])
    if "another patient's teacher" in gains and abs(own - gains["another patient's teacher"]) <= 1e-3 * abs(own):
        best = "another patient's teacher"
    said = ", ".join(f"{name} {gain:+.3g}" for name, gain in gains.items())
    if case.loss.unpaired:
        said += f" (not another patient's teacher: {case.loss.unpaired})"
    figures = {"own": own, **{name.replace(" ", "_").replace("'", ""): gain for name, gain in gains.items()}}
    return held(
        NOT_REGULARISATION,
        own > max(0.0, gains[best]) + 1e-3 * abs(own),
        f"on other cases the value falls by {own:.3g}; steps of such lengths: {said}",
        f"on other cases the value falls by {own:.3g}, and by {gains[best]:.3g} through {best} in steps of such lengths: what it does, {best} does too",
        **figures,
    )


def _controls(case: Case) -> dict[str, Direction]:
    image = case.sample.image
    draw = torch.Generator().manual_seed(0)

    def smoothing(student: SmallNetwork) -> Tensor:
        uniform = torch.zeros(len(image), case.setting.classes, *image.shape[2:] if student.segments else ())
        return gradient_of(student, lambda: divergence(uniform, student(image)).mean())

    found: dict[str, Direction] = {
        "weight decay": weights_of,
        "noise": lambda student: torch.randn(len(weights_of(student)), generator=draw),
        "label smoothing": smoothing,
    }
    if reads_teacher(case) and not case.loss.unpaired:
        others: nn.Module = with_other_patients(case.teacher)
        found["another patient's teacher"] = lambda student: case.gradient(student, others)
    return found


def _gain(case: Case, direction: Direction) -> float:
    """Return by how much the value falls on held-out cases, mean over students, at the better of two step lengths."""
    means = []
    for length in LENGTHS:
        gains = []
        for seed in SEEDS:
            student = case.setting.student(seed)
            before = float(case.value(student, sample=case.held_out).detach())
            follow(student, lambda student=student: direction(student), steps=STEPS, length=length)  # type: ignore[misc]
            gains.append(before - float(case.value(student, sample=case.held_out).detach()))
        means.append(sum(gains) / len(gains))
    return max(means)
