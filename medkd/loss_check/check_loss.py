"""All laws of a loss on small networks of every kind that it is for."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from data_contracts import AttributionSource, CatalogueError, MedkdError
from medkd.distillation.cross_entropy import cross_entropy
from medkd.loss_check.asking import Case, gradient_of
from medkd.loss_check.following_laws import beats_regularisation, lowers_itself
from medkd.loss_check.gradient_laws import depends_on_images, depends_on_weights, gradient_of_value, reaches_student
from medkd.loss_check.network_laws import given_back, teacher_unchanged
from medkd.loss_check.read_loss import LossUnderCheck, said
from medkd.loss_check.small_networks import Setting
from medkd.loss_check.value_laws import any_order, finite, least_at_teacher
from medkd.loss_check.verdict import LawVerdict, LossReport, SettingVerdicts, verdict
from medkd.loss_check.watched_calls import WatchedCalls
from medkd.task_context import TaskContext
from medkd.trace import trace

COST = "cost"
#: In the order in which a reader asks: a term without a gradient breaks others too.
LAWS: tuple[Callable[[Case], LawVerdict], ...] = (
    reaches_student,
    gradient_of_value,
    depends_on_images,
    depends_on_weights,
    teacher_unchanged,
    given_back,
    lowers_itself,
    least_at_teacher,
    beats_regularisation,
    finite,
    any_order,
)
_EXPLAINS = frozenset({"explainer", "head", "features", "responses"})


def check_loss(loss: LossUnderCheck, *, dims: tuple[int, ...] = (2, 3)) -> LossReport:
    """Return what small networks show of a loss.

    Args:
        loss: of :mod:`medkd.loss_check.read_loss`.
        dims: numbers of spatial dimensions.

    Raises:
        CatalogueError: ``LOSS_FAILED`` when it can be asked nowhere, with what it raised, or what it returned instead of a scalar.
    """
    settings = tuple(_checked(loss, Setting(task, space, loss.min_classes)) for task in loss.tasks for space in dims)
    if all(setting.failed for setting in settings):
        first = settings[0]
        raise CatalogueError(
            "LOSS_FAILED", f"expected {loss.name} to give a value on small networks, for {first.name} it does not: {first.failed}"
        )
    return LossReport(loss=loss.name, source=loss.source, settings=settings, controls=controls_of(loss))


def _checked(loss: LossUnderCheck, setting: Setting) -> SettingVerdicts:
    reason = loss.incompatible(TaskContext(setting.task, setting.classes))
    if reason is None:
        case = Case.of(loss, setting)
        try:
            case.raw(setting.network(0))
            laws = tuple(law(case) for law in LAWS)
            return SettingVerdicts(task=setting.task, spatial_dims=setting.spatial_dims, laws=(*laws, cost(case)))
        except MedkdError as error:
            reason = str(error)
        except Exception as error:  # somebody else's code: whatever it raises is what is said of it
            reason = said(error)
    return SettingVerdicts(task=setting.task, spatial_dims=setting.spatial_dims, failed=reason)


def controls_of(loss: LossUnderCheck) -> tuple[str, ...]:
    """Return what a gain through the term must beat in an experiment (``attribution_source`` of an arm); none without a teacher's explanation."""
    if loss.needs is not None and not ("teacher" in loss.needs and loss.needs & _EXPLAINS):
        return ()
    return tuple(kind.value for kind in AttributionSource if kind is not AttributionSource.TEACHER)


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
