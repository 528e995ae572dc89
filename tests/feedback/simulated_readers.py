"""Readers who see where a student's map lies and forbid it the planted marker: their log, through the records that real readers leave."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from data_contracts import (
    LIKERT_ITEMS,
    Checkpoint,
    CohortSet,
    CorrectedMask,
    Feedback,
    FeedbackDirectives,
    FeedbackEntry,
    FindingVerdict,
    PhantomData,
    ReviewReport,
    Subset,
    TaskKind,
    load_record,
)
from medkd.attribution._attribute import attribute
from medkd.cohorts.open_cohort import open_pictures
from medkd.feedback.directives import DirectiveOptions, JudgedReport, directives_of
from medkd.inference.predict import predict_logits
from medkd.models._load import load_network
from medkd.phantom.render import PhantomCases, draw_cases, render_key_slices
from medkd.storage.workspace import Workspace
from medkd.targets import class_margin
from medkd.volumes.voxel_masks import mask_of

GOLDEN = Path(__file__).parents[1] / "contracts" / "golden"
#: Pixels by which a reader's brush is wider than the marker.
BRUSH = 3
#: Pixels by which a reader outlines a lesion too wide: class maps are coarse.
MARGIN = 4
#: A map lies on a region when it holds so many times the mass of a map that is spread evenly.
ON = 2.0


@dataclass(frozen=True)
class ReaderOptions:
    """How readers work, and what is made of what they say.

    Attributes:
        share: of the training studies that they judge.
        seed: of which studies these are.
        strength: of the term.
        eval_share: of the patients whose feedback judges.
        outline: whether readers also outline the lesion as where attribution belongs.
    """

    share: float = 0.15
    seed: int = 0
    strength: float = 1.0
    eval_share: float = 0.25
    outline: bool = False


def marker_region(cases: PhantomCases, reach: int = BRUSH) -> Tensor:
    """Return where the marker is, or would be, grown by a brush: bool [n, row, column]."""
    marked, plain = (render_key_slices(cases.with_marker(present))[0] for present in (True, False))
    return _grown(marked != plain, reach)


def _grown(region: Tensor, reach: int) -> Tensor:
    return functional.max_pool2d(region.float()[:, None], 2 * reach + 1, 1, reach)[:, 0] > 0


def mass_on(maps: Tensor, region: Tensor) -> Tensor:
    """Return the share of each map's absolute attribution in a region, [n]."""
    mass = maps.abs().double().flatten(1)
    found: Tensor = (mass * region.flatten(1)).sum(1) / mass.sum(1).clamp_min(1e-300)
    return found


def training_cases(data: PhantomData, seed: int) -> PhantomCases:
    """Return the parameters that the training cases of a student's seed were drawn with."""
    own = data.cohort_seed + 100 + 2 * seed
    return draw_cases(data.student, own, marker_rates=data.student_marker_rates, contrast=data.student_contrast, difficulty=data.difficulty)


def report_of(case_key: str, patient_key: str, size: tuple[int, ...]) -> ReviewReport:
    """Return a report of one answer about one picture: a golden one under other names."""
    base = load_record(GOLDEN / "review_4.json", ReviewReport)
    explanation = base.explanations[0]
    keys = {"study_key": case_key, "series_key": case_key, "patient_key": patient_key}
    grid = explanation.volume.geometry.model_copy(update={"shape": (1, *size)})
    volume = explanation.volume.model_copy(update={**keys, "geometry": grid})
    trusted = tuple(one.model_copy(update={"trusted": True}) for one in explanation.sanity_reports)
    changed = {"volume": volume, "kind": TaskKind.CLASSIFICATION, "lesions": (), "teacher_only": (), "sanity_reports": trusted}
    return base.model_copy(update={"explanations": (explanation.model_copy(update=changed),)})


def feedback_on(report: ReviewReport, number: int, forbidden: NDArray[np.bool_], allowed: NDArray[np.bool_] | None = None) -> Feedback:
    """Return what a reader says who agrees with the answer and corrects its map.

    Args:
        report: that was shown.
        number: of the form.
        forbidden: voxels [slice, row, column] where attribution does not belong.
        allowed: voxels where it does; None where the reader does not say.
    """
    masks = [CorrectedMask(meaning="forbidden", voxels=mask_of(forbidden))]
    masks += [] if allowed is None else [CorrectedMask(meaning="allowed", voxels=mask_of(allowed))]
    verdict = FindingVerdict(
        finding="answer-1", prediction="agree", explanation="corrected", reasons=("MAP_ON_MARKER",), masks=tuple(masks)
    )
    return Feedback(
        form=f"{number:032x}", report=report.digest(), study_key=report.volume.study_key, decision="correct", verdicts=(verdict,),
        likert=dict.fromkeys(LIKERT_ITEMS, 2), seconds_on_page=30.0, seconds_with_overlay=9.0, page_version="simulated",
        reviewer_key="reader", reviewer_role="simulated", own_read="a" * 64,
    )  # fmt: skip


def read_by_readers(
    workspace: Workspace, student: Checkpoint, cohorts: CohortSet, data: PhantomData, options: ReaderOptions
) -> FeedbackDirectives:
    """Return the directives of readers who judge studies whose map lies on the marker: they agree with the answer and forbid the map the marker.

    Args:
        workspace: where cohorts and weights lie.
        student: whose maps they see, on the training cases of its seed.
        cohorts: of the recipe.
        data: of the recipe, whose cases are drawn again to know where the marker is.
        options: how many studies, and what follows.
    """
    cohort = open_pictures(cohorts, Subset.STUDENT_TRAIN.of(student.seed), workspace.store, student.task)
    network = load_network(workspace, student)
    answer = predict_logits(network, cohort.images).argmax(1)
    maps = attribute(network, cohort.images, class_margin(answer), explainer="cam")
    cases = training_cases(data, student.seed)
    region = marker_region(cases)
    hit = (mass_on(maps, region) > ON * region.flatten(1).double().mean(1)) & cases.marker
    order = torch.randperm(len(cohort), generator=torch.Generator().manual_seed(options.seed)).tolist()
    chosen = [row for row in order if bool(hit[row])][: round(options.share * len(cohort))]
    entries: list[FeedbackEntry] = []
    reports: dict[str, JudgedReport] = {}
    for row in chosen:
        case = cohort.cases[row]
        report = report_of(case.case_key, case.patient_key, tuple(cohort.images.shape[2:]))
        reports[report.digest()] = JudgedReport(report)
        allowed = _grown(cohort.masks[row : row + 1] > 0, MARGIN).numpy() if options.outline else None
        said = feedback_on(report, row, region[row : row + 1].numpy(), allowed)
        previous = entries[-1].digest() if entries else None
        entries.append(FeedbackEntry(index=len(entries), at="2026-01-01T00:00:00Z", previous=previous, record=said))
    wanted = DirectiveOptions(TaskKind.CLASSIFICATION, b"simulated", eval_share=options.eval_share, strength=options.strength)
    return directives_of(entries, reports, wanted)
