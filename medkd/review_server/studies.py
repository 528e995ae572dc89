"""The studies that are served: reports with their arrays beside them, found in a folder and read again when they change."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from data_contracts import MedkdError, ReviewReport, load_record
from medkd.review.study_file import NAME, StudyFile, open_study_file

REPORT = "report.json"
#: So long a folder that was looked through is not looked through again.
LOOK_AGAIN_S = 3.0


@dataclass(frozen=True)
class ServedStudy:
    """A report that is served, genuine or a control.

    Attributes:
        key: in addresses.
        folder: that holds it.
        report: what is shown.
        digest: of the report.
        priority: 1 (high) to 3.
        uncertainty: 0 to 1, by which studies of one priority are ordered.
        problem: why it cannot be shown; empty where it can.
    """

    key: str
    folder: Path
    report: ReviewReport
    digest: str
    priority: int
    uncertainty: float
    problem: str = ""

    def arrays(self) -> StudyFile:
        """Open its arrays.

        Raises:
            StoreError: ``STUDY_FILE``.
        """
        return open_study_file(self.folder / NAME)


def priority_of(report: ReviewReport) -> tuple[int, float]:
    """Return priority and uncertainty of a report: high with a grave caveat, medium with any or an uncertain answer; 1 is most uncertain.

    An answer of two classes at 0.5 and a lesion that the teacher does not mark at all are most uncertain.
    """
    answers = [1 - abs(2 * answer.probability - 1) for own in report.explanations for answer in own.answers]
    lesions = [1 - one.share_in_teacher for own in report.explanations for one in own.lesions if one.share_in_teacher is not None]
    missed = [1.0 for own in report.explanations for _ in own.teacher_only]
    uncertainty = max((*answers, *lesions, *missed), default=0.0)
    gravest = max((caveat.severity for caveat in report.caveats), default=0)
    if gravest == 3:
        return 1, uncertainty
    return (2 if gravest == 2 or uncertainty > 0.5 else 3), uncertainty


class StudyIndex:
    """The studies below a folder.

    Args:
        folder: with reports, each in a folder of its own at any depth.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._looked = -LOOK_AGAIN_S
        self._read: dict[Path, tuple[tuple[int, ...], ServedStudy | None]] = {}
        self._by_key: dict[str, ServedStudy] = {}

    def all(self) -> dict[str, ServedStudy]:
        """Return all studies by key, in the order of their folders."""
        with self._lock:
            if time.monotonic() - self._looked >= LOOK_AGAIN_S:
                self._look()
                self._looked = time.monotonic()
            return self._by_key

    def find(self, key: str) -> ServedStudy | None:
        """Return a study by its key."""
        return self.all().get(key)

    def _look(self) -> None:
        places = sorted(self._folder.rglob(REPORT))
        self._read = {path: self._again(path) for path in places}
        found = [one for _, one in self._read.values() if one is not None]
        # A series may be reported by several models: then each report has the beginning of its digest in its key.
        often = Counter(one.report.volume.series_key for one in found)
        keyed = [(one.report.volume.series_key, one) for one in found]
        named = [(key if often[key] == 1 else f"{key}.{one.digest[:8]}", one) for key, one in keyed]
        self._by_key = {key: one if one.key == key else _renamed(one, key) for key, one in named}

    def _again(self, path: Path) -> tuple[tuple[int, ...], ServedStudy | None]:
        """Return a study, read again where its files are not those that were read."""
        state = tuple(value for name in (path, path.with_name(NAME)) for value in _state(name))
        known = self._read.get(path)
        return known if known is not None and known[0] == state else (state, read_study(path.parent))


def read_study(folder: Path) -> ServedStudy | None:
    """Return the study of a folder; None of one whose report cannot be read, which is somebody else's file or being written."""
    try:
        report = load_record(folder / REPORT, ReviewReport)
    except (MedkdError, OSError):
        return None
    problem = ""
    try:
        shape = open_study_file(folder / NAME).shape
        if shape != tuple(report.volume.geometry.shape):
            problem = f"STUDY_FILE: expected arrays of {report.volume.geometry.shape}, got {shape}; make the report again"
    except MedkdError as error:
        problem = f"{error.code}: {error.message}"
    priority, uncertainty = priority_of(report)
    return ServedStudy(report.volume.series_key, folder, report, report.digest(), priority, uncertainty, problem)


def _renamed(study: ServedStudy, key: str) -> ServedStudy:
    return ServedStudy(key, study.folder, study.report, study.digest, study.priority, study.uncertainty, study.problem)


def _state(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return found.st_mtime_ns, found.st_size
