"""Laws of the value: finite whatever comes, the same in any order of cases, least where student and teacher are one."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from medkd.loss_check.asking import Case, gradient_of, set_weights, weights_of
from medkd.loss_check.read_loss import said
from medkd.loss_check.small_networks import with_other_reasons
from medkd.loss_check.verdict import LawVerdict, held, verdict
from medkd.trace import Sample

FINITE, ORDER, MINIMUM = "finite in bf16 and at extremes", "the order of cases does not matter", "least where the student is the teacher"


def finite(case: Case) -> LawVerdict:
    """Value and gradient are finite under autocast to bf16, on images of zeros and of huge values, and for students that say nothing or too much."""
    failed = []
    for where, student, sample, autocast in _extremes(case):
        try:
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
                value = case.value(student, sample=sample)
            gradient = gradient_of(student, lambda value=value: value)  # type: ignore[misc]
            if not (bool(value.isfinite()) and bool(gradient.isfinite().all())):
                failed.append(f"{where}: the {'gradient' if bool(value.isfinite()) else 'value'} is NaN or infinite")
        except Exception as error:
            failed.append(f"{where}: {said(error)}")
    return held(FINITE, not failed, "value and gradient are finite in all of them", "; ".join(failed))


def _extremes(case: Case) -> Iterator[tuple[str, nn.Module, Sample, bool]]:
    setting, sample = case.setting, case.sample
    yield "bf16 autocast", setting.network(0).train(), sample, True
    yield "images of zeros", setting.network(0), _with_image(sample, 0.0), False
    yield "images a thousand times as bright", setting.network(0), _with_image(sample, 1e3), False
    for where, factor in (("a student whose head is zero", 0.0), ("logits a thousand times as large", 1e3)):
        student = setting.network(0)
        with torch.no_grad():
            for parameter in student.head.parameters():
                parameter.mul_(factor)
        yield where, student, sample, False


def _with_image(sample: Sample, factor: float) -> Sample:
    return Sample(inputs={"image": sample.image * factor}, labels=sample.labels, masks=sample.masks, forbidden=sample.forbidden)


def any_order(case: Case) -> LawVerdict:
    """A batch is a set."""
    student = case.setting.network(0)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    straight, mixed = (
        float(case.value(student, sample=sample).detach()) for sample in (case.sample, case.sample.mapped(lambda t: t[order]))
    )
    return held(
        ORDER,
        abs(straight - mixed) <= 1e-3 * max(abs(straight), 1e-3),
        "the value is the same in another order",
        f"the value is {straight:.5g} and in another order of the cases {mixed:.5g}: cases are matched by their place in the batch",
        straight=straight,
        other_order=mixed,
    )


def least_at_teacher(case: Case) -> LawVerdict:
    """A copy of the teacher has the least value, of all near it and of students that have learned nothing."""
    if case.loss.needs is not None and "teacher" not in case.loss.needs:
        return verdict(MINIMUM, "not applicable", "the term reads no teacher")
    if case.loss.minimum_at_teacher is False:
        return verdict(MINIMUM, "not applicable", "the file says that it is not (MINIMUM_AT_TEACHER = False)")
    if case.loss.needs is None and not reads_teacher(case):
        return verdict(MINIMUM, "not applicable", "the value is the same under another teacher")
    at_teacher = float(case.value(copy.deepcopy(case.teacher)).detach())
    others = [float(case.value(student).detach()) for student in _neighbours(case)]
    if at_teacher <= min(others) + 1e-6:
        return verdict(
            MINIMUM,
            "holds",
            f"{at_teacher:.3g} at the teacher, {min(others):.3g} and above elsewhere",
            at_teacher=at_teacher,
            elsewhere=min(others),
        )
    if case.loss.minimum_at_teacher is None:
        sentence = f"{at_teacher:.4g} where the student is the teacher and {min(others):.4g} elsewhere; nothing is claimed: say MINIMUM_AT_TEACHER = True to"
        return verdict(MINIMUM, "not applicable", f"{sentence} have it held to that", at_teacher=at_teacher, elsewhere=min(others))
    sentence = (
        f"{at_teacher:.4g} where the student is the teacher and {min(others):.4g} elsewhere: to follow the term leads away from the teacher. "
        "If labels are mixed in, say MINIMUM_AT_TEACHER = False"
    )
    return verdict(MINIMUM, "broken", sentence, at_teacher=at_teacher, elsewhere=min(others))


def _neighbours(case: Case) -> Iterator[nn.Module]:
    begin = weights_of(case.teacher)
    draw = torch.Generator().manual_seed(0)
    for size in (0.03, 0.1, 0.3):
        student = copy.deepcopy(case.teacher)
        set_weights(student, begin + torch.randn(len(begin), generator=draw) * size * begin.norm() / len(begin) ** 0.5)
        yield student
    yield from (case.setting.network(seed) for seed in (0, 1))


def reads_teacher(case: Case) -> bool:
    """Return whether the value depends on who teaches."""
    student = case.setting.network(0)
    own, other = (float(case.value(student, teacher).detach()) for teacher in (case.teacher, case.setting.network(3)))
    return abs(own - other) > 1e-6 * max(1.0, abs(own))


def reads_reasons(case: Case) -> bool:
    """Return whether the value depends on more of the teacher than its answers about the batch: on its layers, gradients, or answers about changed images."""
    student = case.setting.network(0)
    other = with_other_reasons(case.teacher, case.setting.network(3), case.sample.image)
    try:
        own, replaced = (_figure(case.raw(student, teacher)) for teacher in (case.teacher, other))
    except Exception:  # code that does not bear other layers looks at them
        return True
    return not abs(own - replaced) <= 1e-6 * max(1.0, abs(own))


def _figure(raw: Any) -> float:
    return float(raw.detach()) if isinstance(raw, torch.Tensor) else float(raw)
