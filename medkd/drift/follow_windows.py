"""Windows of studies one after another: each compared once, when it is complete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from data_contracts import DriftReference, DriftReport, StudyProfile
from medkd.drift.compare_window import DriftSettings, compare_window


@dataclass(frozen=True)
class DatedStudy:
    """A study that was read.

    Attributes:
        at: when it was put on the worklist.
        patient: pseudonym of its patient.
        profile: what it is like.
    """

    at: datetime
    patient: str
    profile: StudyProfile


def continues(report: DriftReport | None, reference: DriftReference, settings: DriftSettings) -> bool:
    """Return whether a report was made against this reference by these settings, so that its windows stand."""
    return report is not None and (
        report.model,
        report.reference_digest,
        report.alarm_rate,
        report.window_studies,
        report.permutations,
    ) == (
        reference.model,
        reference.digest(),
        settings.alarm_rate,
        settings.window_studies,
        settings.permutations,
    )


def not_compared(ats: Sequence[datetime], report: DriftReport | None) -> list[int]:
    """Return which moments, as places in order of time, lie after the last window of a report."""
    last = None if report is None or not report.windows else report.windows[-1].last_at
    return sorted((place for place, at in enumerate(ats) if last is None or at > last), key=lambda place: ats[place])


def follow_windows(
    reference: DriftReference, studies: Sequence[DatedStudy], settings: DriftSettings, before: DriftReport | None = None
) -> DriftReport:
    """Compare every window that is complete and was not compared yet; what is left over waits.

    Args:
        reference: of the model version.
        studies: those that were read; those in windows of ``before`` may be among them.
        settings: rate, window, permutations.
        before: the report so far; one of other settings or another reference counts for nothing.

    Raises:
        DataError: ``DRIFT_REFERENCE_SMALL``.
    """
    kept = before if continues(before, reference, settings) else None
    windows = [] if kept is None else list(kept.windows)
    waiting = [studies[place] for place in not_compared([one.at for one in studies], kept)]
    while len(waiting) >= settings.window_studies:
        chosen, waiting = waiting[: settings.window_studies], waiting[settings.window_studies :]
        found = compare_window(
            reference, [one.profile for one in chosen], [one.patient for one in chosen], settings, windows[-1] if windows else None
        )
        windows.append(found.model_copy(update={"first_at": chosen[0].at, "last_at": chosen[-1].at}))
    return DriftReport(
        model=reference.model,
        reference_digest=reference.digest(),
        alarm_rate=settings.alarm_rate,
        window_studies=settings.window_studies,
        permutations=settings.permutations,
        windows=tuple(windows),
        waiting=len(waiting),
    )
