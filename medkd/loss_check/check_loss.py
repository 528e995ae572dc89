"""All laws of a loss on small networks of every kind that it is for."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

from data_contracts import AttributionSource, CatalogueError, MedkdError
from medkd.distillation.cross_entropy import cross_entropy
from medkd.loss_check.asking import Case, as_number, gradient_of, scalar
from medkd.loss_check.following_laws import LOWERS, NOT_REGULARISATION, beats_regularisation, lowers_itself
from medkd.loss_check.gradient_laws import (
    IMAGES,
    OF_VALUE,
    REACHES,
    WEIGHTS,
    depends_on_images,
    depends_on_weights,
    gradient_of_value,
    reaches_student,
)
from medkd.loss_check.network_laws import GIVEN_BACK, TEACHER, given_back, teacher_unchanged
from medkd.loss_check.read_loss import LossUnderCheck, said
from medkd.loss_check.small_networks import Setting
from medkd.loss_check.value_laws import FINITE, MINIMUM, ORDER, any_order, finite, least_at_teacher, reads_reasons
from medkd.loss_check.verdict import LawVerdict, LossReport, SettingVerdicts, verdict
from medkd.loss_check.watched_calls import WatchedCalls
from medkd.task_context import TaskContext
from medkd.trace import trace

COST, ANSWERS, OTHERS = "cost", "it answers", "the laws that follow"
#: In the order in which a reader asks: a term without a gradient breaks others too.
LAWS: dict[str, Callable[[Case], LawVerdict]] = {
    REACHES: reaches_student,
    OF_VALUE: gradient_of_value,
    IMAGES: depends_on_images,
    WEIGHTS: depends_on_weights,
    TEACHER: teacher_unchanged,
    GIVEN_BACK: given_back,
    LOWERS: lowers_itself,
    MINIMUM: least_at_teacher,
    NOT_REGULARISATION: beats_regularisation,
    FINITE: finite,
    ORDER: any_order,
}
_EXPLAINS = frozenset({"explainer", "head", "features", "responses"})


def check_loss(loss: LossUnderCheck, *, dims: tuple[int, ...] = (2, 3)) -> LossReport:
    """Return what small networks show of a loss.

    Args:
        loss: of :mod:`medkd.loss_check.read_loss`.
        dims: numbers of spatial dimensions; those that the loss is not for are left out.

    Raises:
        CatalogueError: ``LOSS_FAILED`` when it can be asked nowhere, with what it raised, or what it returned instead of a scalar.
    """
    kinds = [Setting(task, space, loss.min_classes) for task in loss.tasks for space in dims if space in loss.dims]
    settings = tuple(_checked(loss, kind) for kind in kinds)
    if all(setting.failed for setting in settings):
        why = f"for {settings[0].name} it does not: {settings[0].failed}" if settings else f"it is for DIMS {loss.dims} alone"
        raise CatalogueError("LOSS_FAILED", f"expected {loss.name} to give a value on small networks, {why}")
    asked = [kind for kind, setting in zip(kinds, settings, strict=True) if not setting.failed]
    return LossReport(loss=loss.name, source=loss.source, settings=settings, controls=controls_of(loss, asked))


def _checked(loss: LossUnderCheck, setting: Setting) -> SettingVerdicts:
    found = SettingVerdicts(task=setting.task, spatial_dims=setting.spatial_dims)
    reason = loss.incompatible(TaskContext(setting.task, setting.classes))
    if reason is not None:
        return found.model_copy(update={"failed": reason})
    try:
        raw = Case.of(loss, setting).raw(setting.network(0))
        if as_number(raw) is None:  # a number is no crash: the first law says where it was made
            scalar(raw, loss.name)
    except Exception as error:
        crash = f"{_why(error)}; if it is not for these, say so in TASKS or DIMS"
        return found.model_copy(update={"failed": _why(error), "laws": (verdict(ANSWERS, "broken", crash),)})
    return found.model_copy(update={"laws": _laws(loss, setting)})


def _laws(loss: LossUnderCheck, setting: Setting) -> tuple[LawVerdict, ...]:
    """Return a verdict per law; one under which the loss crashes is broken, and the others are asked all the same."""
    case, found = Case.of(loss, setting), []
    for name, law in {**LAWS, COST: cost}.items():
        try:
            found.append(law(case))
            if name == REACHES and found[0].verdict == "broken":
                return (
                    *found,
                    verdict(OTHERS, "not applicable", "not asked: they say nothing of a term without a gradient; mend that first"),
                )
        except Exception as error:  # somebody else's code: whatever it raises is what is said of it
            found.append(verdict(name, "broken", f"it gave a value at first, and while this was asked it did not: {_why(error)}"))
            case = Case.of(loss, setting)  # the crash may have left hooks on the teacher
    return tuple(found)


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, MedkdError) else said(error)


def controls_of(loss: LossUnderCheck, settings: Sequence[Setting]) -> tuple[str, ...]:
    """Return what a gain through the term must beat in an experiment (``attribution_source`` of an arm); none without a teacher's explanation.

    Args:
        loss: a loss that declares ``NEEDS`` is taken at its word.
        settings: kinds of networks that it gives a value on: one that declares nothing is asked there under a teacher with the same answers and other reasons.
    """
    if loss.needs is not None:
        explains = "teacher" in loss.needs and bool(loss.needs & _EXPLAINS)
    else:
        explains = any(reads_reasons(Case.of(loss, setting)) for setting in settings)
    return tuple(kind.value for kind in AttributionSource if kind is not AttributionSource.TEACHER) if explains else ()


def cost(case: Case) -> LawVerdict:
    """Say what a step with the term takes relative to one of cross-entropy alone, and whether gradients are differentiated again."""
    student = case.setting.network(0).train()
    watched = WatchedCalls(student, case.loss.file)
    with watched:
        case.raw(student)

    def seconds(with_term: bool) -> float:
        began = time.perf_counter()
        gradient_of(student, lambda: cross_entropy(trace(student, case.sample.inputs), None, case.sample))
        if with_term:
            gradient_of(student, lambda: case.value(student))
        return time.perf_counter() - began

    pairs = [(seconds(False), seconds(True)) for _ in range(5)]
    ratio = statistics.median(both / alone for alone, both in pairs)
    again = "gradients are differentiated again (double backward)" if watched.double_backward else "no double backward"
    return verdict(
        COST,
        "not applicable",
        f"a step takes {ratio:.1f} times one of cross-entropy alone on these networks, teacher included; {again}",
        ratio=ratio,
        double_backward=float(watched.double_backward),
    )
