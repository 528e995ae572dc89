"""Laws of the gradient: it reaches the student, it is that of the value, it depends on images and weights."""

from __future__ import annotations

import torch
from torch import Tensor

from medkd.distillation._reduce import divergence
from medkd.loss_check.asking import Case, as_number, gradient_of, scalar, set_weights, weights_of
from medkd.loss_check.small_networks import SmallNetwork
from medkd.loss_check.verdict import LawVerdict, held, verdict
from medkd.loss_check.watched_calls import WatchedCalls

REACHES, OF_VALUE, IMAGES, WEIGHTS = (
    "the gradient reaches the student",
    "the gradient is that of the value",
    "the gradient depends on the images",
    "the gradient depends on the weights",
)
#: A gradient below this, relative to the value and the weights, is rounding.
_NOTHING = 1e-7
#: How far slopes that were measured may lie from those that autograd says.
_MISMATCH = 0.02


def reaches_student(case: Case) -> LawVerdict:
    """The value carries a gradient, and it is not zero."""
    student = case.setting.network(0).train()
    watched = WatchedCalls(student, case.loss.file)
    with watched:
        raw = case.raw(student)
    number = as_number(raw)
    if number is not None:
        return verdict(REACHES, "broken", f"the loss returns the number {number:.4g}, which carries no gradient: {watched.first_cut()}")
    value = scalar(raw, case.loss.name)
    if not value.requires_grad:
        return verdict(REACHES, "broken", f"the value carries no gradient at all: {watched.first_cut()}")
    gradient = gradient_of(student, lambda: value)
    relative = float(gradient.norm() * weights_of(student).norm() / value.detach().abs().clamp_min(1e-6))
    share = float((gradient != 0).float().mean())
    return held(
        REACHES,
        relative > _NOTHING,
        f"{share:.0%} of the student's weights get one",
        f"it is zero in every weight: {watched.first_cut()}",
        share_of_weights=share,
    )


def gradient_of_value(case: Case) -> LawVerdict:
    """Slopes that are measured by moving the weights are those that autograd says: nothing that counts was cut off on the way."""
    student = case.setting.student(0)
    own = case.gradient(student)
    if float(own.norm()) == 0:
        return verdict(OF_VALUE, "not applicable", "there is no gradient")
    directions = torch.stack([one / one.norm() for one in (own, *_directions(case, student)) if float(one.norm()) > 0])
    claimed = directions @ own
    mismatch, measured = min(
        (_compare(case, student, directions, claimed, length) for length in (3e-4, 1e-3, 3e-3)), key=lambda pair: pair[0]
    )
    figures = {"mismatch": mismatch, "slope_claimed": float(claimed[0]), "slope_measured": float(measured[0])}
    if mismatch <= _MISMATCH:
        return verdict(OF_VALUE, "holds", f"slopes measured by moving the weights are those of autograd within {mismatch:.1%}", **figures)
    if case.loss.stops_gradient:
        return verdict(OF_VALUE, "not applicable", f"a part is meant to carry none: {case.loss.stops_gradient}", **figures)
    watched = WatchedCalls(student, case.loss.file)
    with watched:
        case.raw(student)
    sentence = (
        f"the value moves by other slopes than autograd says (mismatch {mismatch:.0%}): a part of it carries no gradient; {watched.first_cut()}. "
        "If this is meant, say why in STOPS_GRADIENT"
    )
    return verdict(OF_VALUE, "broken", sentence, **figures)


def _directions(case: Case, student: SmallNetwork) -> list[Tensor]:
    """Return directions that change what the student says: towards the teacher, towards certainty, and its maps' strength."""
    image, found = case.sample.image, []
    with torch.no_grad():
        wanted = case.teacher(image)
    found.append(gradient_of(student, lambda: divergence(wanted, student(image)).mean()))
    found.append(gradient_of(student, lambda: student(image).square().mean()))
    found.append(gradient_of(student, lambda: student.encoder(image).square().mean()))
    return found


def _compare(case: Case, student: SmallNetwork, directions: Tensor, claimed: Tensor, length: float) -> tuple[float, Tensor]:
    """Return how far measured slopes lie from the claimed ones, relative to the larger, and the measured slopes."""
    begin = weights_of(student)
    step = length * float(begin.norm())
    measured = []
    for direction in directions:
        sides = []
        for sign in (1, -1):
            set_weights(student, begin + sign * step * direction)
            sides.append(float(case.value(student).detach()))
        measured.append((sides[0] - sides[1]) / (2 * step))
    set_weights(student, begin)
    slopes = torch.tensor(measured)
    return float((slopes - claimed).norm() / torch.maximum(slopes.norm(), claimed.norm()).clamp_min(1e-12)), slopes


def depends_on_images(case: Case) -> LawVerdict:
    """Other images, another gradient."""
    student = case.setting.network(0)
    difference = _relative(case.gradient(student), case.gradient(student, sample=case.held_out))
    return held(
        IMAGES,
        difference > 1e-3,
        "it changes with the batch",
        "it is the same for other images: the term regularises the weights and reads nothing of the batch",
        difference=difference,
    )


def depends_on_weights(case: Case) -> LawVerdict:
    """Another student, another gradient."""
    difference = _relative(case.gradient(case.setting.network(0)), case.gradient(case.setting.network(1)))
    return held(
        WEIGHTS,
        difference > 1e-3,
        "it changes with the student",
        "it is the same for another student: the term pushes all students alike, whatever they have learned",
        difference=difference,
    )


def _relative(first: Tensor, second: Tensor) -> float:
    return float((first - second).norm() / torch.maximum(first.norm(), second.norm()).clamp_min(1e-12))
