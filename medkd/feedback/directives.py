"""From a feedback log to directives: what the next student is told, study by study. A pure function of the log, the reports and options.

Rules, so that two people make the same directives of a log:

- Of a reader's judgements of one report only the last counts: a correction supersedes, and so does a later reading.
- Feedback on a control case teaches nothing, and neither does ``unsure``.
- Readers are asked one after the other and counted. A finding that as many agree with as disagree with is a conflict, is ignored and counted. Where
  more disagree, or more than half mark what no model does, the study is queued for relabelling and weighs nothing.
- Of those who agree, maps are judged the same way: where more do not accept the map than do, it is not copied. A voxel is forbidden, or
  allowed, where more than half of those who judged the map say so; one that is both is a conflict and is neither.
- A map that was not accepted and of which no voxel was agreed on is asked to stay within the finding's contour, at half the strength.
- Whose maps an explainer made that failed a test on the model is not heard about them: the map was wrong and not the model.
- Patients, not studies, are drawn into ``train`` and ``eval``, by a keyed hash: the same patient always falls into the same part.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from data_contracts import (
    ControlCase,
    DataError,
    DirectedRegion,
    Feedback,
    FeedbackDirectives,
    FeedbackEntry,
    FindingVerdict,
    ReviewReport,
    StudyDirective,
    TaskKind,
    VoxelMask,
)
from medkd.dicom.confidentiality.secret import keyed_number
from medkd.volumes.voxel_masks import mask_of, voxels_of

#: Strength of a region that nobody drew: the contour of a finding whose map was only rejected.
REJECTED = 0.5


@dataclass(frozen=True)
class JudgedReport:
    """A report that feedback refers to.

    Attributes:
        report: what was shown.
        contours: voxels of each of its findings, by name (``lesion-1``, ``answer-1``), on the study's grid.
    """

    report: ReviewReport
    contours: Mapping[str, VoxelMask] = field(default_factory=dict)

    def failed_maps(self, finding: str) -> bool:
        """Return whether every map of a finding was made by an explainer that failed a test on its model."""
        kind, _, number = finding.partition("-")
        wanted = TaskKind.CLASSIFICATION if kind == "answer" else TaskKind.SEGMENTATION
        of_kind = [one for one in self.report.explanations if one.kind is wanted]
        shown = {(one.method.explainer in own.failed_explainers) for own in of_kind for one in own.maps if one.number == int(number)}
        return shown == {True}


@dataclass(frozen=True)
class DirectiveOptions:
    """How directives are made.

    Attributes:
        kind: of the student that is trained: a classifier learns from answers, a segmenter from lesions.
        secret: the site's, which patients are drawn into parts by.
        eval_share: share of patients whose feedback judges the student.
        strength: factor of the term that keeps attribution off forbidden voxels.
        influence_cap: its largest share of a batch's loss.
    """

    kind: TaskKind
    secret: bytes
    eval_share: float = 0.25
    strength: float = 1.0
    influence_cap: float = 0.2

    @property
    def prefix(self) -> str:
        """Return what the names of the findings begin with that the student answers for."""
        return "answer" if self.kind is TaskKind.CLASSIFICATION else "lesion"


def directives_of(entries: Sequence[FeedbackEntry], reports: Mapping[str, JudgedReport], options: DirectiveOptions) -> FeedbackDirectives:
    """Return what a feedback log says to the next student; the rules are those at the top of this file.

    Args:
        entries: of the log, in its order; verified.
        reports: that were shown, by digest.
        options: of the student and of the term.

    Raises:
        DataError: ``FEEDBACK_EMPTY`` for a log without entries.
    """
    if not entries:
        raise DataError("FEEDBACK_EMPTY", "expected a feedback log with entries, it has none; let readers judge reports first")
    ignored: Counter[str] = Counter()
    counted = _that_count(entries, reports, ignored)
    by_report: dict[str, list[Feedback]] = defaultdict(list)
    for record in counted.values():
        by_report[record.report].append(record)
    heard: dict[str, _Heard] = {}
    for digest, said in by_report.items():
        judged = reports[digest]
        own = heard.setdefault(judged.report.volume.series_key, _Heard(judged.report))
        own.hear(said, judged, options.prefix, ignored)
    return FeedbackDirectives(
        log_head=entries[-1].digest(),
        entries=len(entries),
        used=tuple(counted),
        studies=tuple(one.directive(options) for _, one in sorted(heard.items())),
        relabel=tuple(sorted({one.report.volume.study_key for one in heard.values() if one.is_doubted})),
        ignored=dict(sorted(ignored.items())),
        strength=options.strength,
        influence_cap=options.influence_cap,
        eval_share=options.eval_share,
    )


def _that_count(entries: Sequence[FeedbackEntry], reports: Mapping[str, JudgedReport], ignored: Counter[str]) -> dict[str, Feedback]:
    """Return the feedback that counts, by the digest of its entry, in the order of the log."""
    # By report and study: what was shown of a control may be the genuine report of another study.
    controls = {(one.record.report, one.record.study_key) for one in entries if isinstance(one.record, ControlCase)}
    last: dict[tuple[str, str, str], tuple[str, Feedback]] = {}
    for entry in entries:
        record = entry.record
        if not isinstance(record, Feedback):
            continue
        place = (record.report, record.study_key, record.reviewer_key)
        if place[:2] in controls:
            ignored["control"] += 1
        elif record.report not in reports:
            ignored["no_report"] += 1
        else:
            ignored["superseded"] += place in last
            last.pop(place, None)  # so that it stands where it was said last
            last[place] = entry.digest(), record
    superseded = {record.supersedes: record for _, record in last.values()}
    found = {}
    for digest, record in last.values():
        later = superseded.get(digest)
        if later is not None and later.reviewer_key == record.reviewer_key:  # of a report that was made anew
            ignored["superseded"] += 1
        else:
            found[digest] = record
    ignored += Counter()  # without zeros
    return found


@dataclass
class _Heard:
    """What was heard of one series."""

    report: ReviewReport
    is_doubted: bool = False
    is_copied: bool = True
    regions: list[DirectedRegion] = field(default_factory=list)

    def hear(self, said: Sequence[Feedback], judged: JudgedReport, prefix: str, ignored: Counter[str]) -> None:
        """Take up what all readers said of one report."""
        marked = sum(bool(one.missed) for one in said)
        if 2 * marked == len(said):
            ignored["conflict"] += 1
        self.is_doubted |= 2 * marked > len(said)
        by_finding: dict[str, list[FindingVerdict]] = defaultdict(list)
        for record in said:
            for verdict in record.verdicts:
                by_finding[verdict.finding].append(verdict)
        for finding, verdicts in sorted(by_finding.items()):
            if not finding.startswith(prefix):
                ignored["other_finding"] += len(verdicts)
                continue
            ignored["unsure"] += sum(one.prediction == "unsure" for one in verdicts)
            agreeing = [one for one in verdicts if one.prediction == "agree"]
            disagreeing = sum(one.prediction == "disagree" for one in verdicts)
            if disagreeing and len(agreeing) == disagreeing:
                ignored["conflict"] += 1
            elif disagreeing > len(agreeing):
                self.is_doubted = True
            else:
                self._hear_of_map(finding, agreeing, judged, ignored)
        ignored += Counter()

    def _hear_of_map(self, finding: str, agreeing: Sequence[FindingVerdict], judged: JudgedReport, ignored: Counter[str]) -> None:
        votes = [one for one in agreeing if one.explanation != "not_judged"]
        refused = sum(one.explanation != "accepted" for one in votes)
        if not refused:
            return
        if judged.failed_maps(finding):
            ignored["failed_explainer"] += len(votes)
            return
        if 2 * refused == len(votes):
            ignored["conflict"] += 1
        if 2 * refused <= len(votes):
            return
        self.is_copied = False
        drawn = _agreed_regions(votes, self.report.volume.geometry.shape, ignored)
        contour = judged.contours.get(finding)
        if drawn:
            self.regions += drawn
        elif contour is None:
            ignored["no_contour"] += 1
        else:
            self.regions.append(DirectedRegion(meaning="allowed", voxels=contour, factor=REJECTED))

    def directive(self, options: DirectiveOptions) -> StudyDirective:
        """Return what is made of it: of a study whose prediction is doubted nothing else is heard."""
        volume = self.report.volume
        drawn = keyed_number(options.secret, "feedback part", volume.patient_key) / 2**128
        return StudyDirective(
            study_key=volume.study_key,
            case_key=volume.series_key,
            patient_key=volume.patient_key,
            part="eval" if drawn < options.eval_share else "train",
            prediction_weight=0.0 if self.is_doubted else 1.0,
            explanation_weight=0.0 if self.is_doubted or not self.is_copied else 1.0,
            regions=() if self.is_doubted else tuple(self.regions),
        )


def _agreed_regions(votes: Sequence[FindingVerdict], shape: tuple[int, ...], ignored: Counter[str]) -> list[DirectedRegion]:
    """Return the voxels that more than half of the readers who judged a map forbid, and those that they allow."""
    counts = {"allowed": np.zeros(shape, np.int32), "forbidden": np.zeros(shape, np.int32)}
    drew = False
    for vote in votes:
        for meaning, count in counts.items():
            own = [one.voxels for one in vote.masks if one.meaning == meaning]
            ignored["other_grid"] += sum(one.shape != shape for one in own)
            usable = [voxels_of(one) for one in own if one.shape == shape]
            drew |= bool(usable)
            if usable:
                count += np.logical_or.reduce(usable)
    agreed = {meaning: 2 * count > len(votes) for meaning, count in counts.items()}
    both = agreed["allowed"] & agreed["forbidden"]
    if both.any() or (drew and not any(voxels.any() for voxels in agreed.values())):
        ignored["conflict"] += 1
    return [
        DirectedRegion(meaning=meaning, voxels=mask_of(voxels & ~both), factor=1.0)
        for meaning, voxels in agreed.items()
        if (voxels & ~both).any()
    ]
