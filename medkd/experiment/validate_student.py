"""The quick look at a student that choices are made by: validation cases, and beside them what an oracle would see."""

from __future__ import annotations

import math
from collections import OrderedDict

import torch
from torch import Tensor, nn

from data_contracts import Checkpoint, CohortSet, DataError, RecipeError, SelectionCriterion, Subset, TaskKind, ValidationScores
from medkd.attribution.cam import cam
from medkd.cohorts.open_cohort import open_for_maps
from medkd.cohorts.tensor_cohort import TensorCohort
from medkd.distillation._occlude import hide, occlusion_patterns
from medkd.evaluation.evaluate import MAP_CASES
from medkd.evaluation.validate import VALIDATIONS, mean_auc
from medkd.experiment.variants import PRIMARIES
from medkd.inference.predict import predict_class_maps, predict_logits
from medkd.measures.auc import auc
from medkd.measures.cosine_agreement import cosine_agreement
from medkd.measures.dice import dice
from medkd.models._load import load_network
from medkd.storage.workspace import Workspace
from medkd.targets import Target, class_margin, lesion_margin

#: How validation images are hidden: other patterns than a loss is trained with.
PATTERNS, CELLS, HIDDEN = 4, 8, 0.25


def validation_subset(cohorts: CohortSet) -> str:
    """Return the subset of the cases that choices are made on.

    Raises:
        RecipeError: ``EXPERIMENT_VALIDATION`` when there are none, or when they are the test cases.
    """
    subset = next((name for name in VALIDATIONS if name in cohorts.uses), None)
    if subset is None or cohorts.uses[subset] == cohorts.uses.get(Subset.TEST):
        raise RecipeError(
            "EXPERIMENT_VALIDATION",
            f"expected validation cases apart from the test cases, there are only {sorted(map(str, cohorts.uses))}: set "
            "data.student_validation or data.inner_validation",
        )
    return subset


_KEPT: OrderedDict[tuple[str, ...], StudentValidator] = OrderedDict()


def student_validator(workspace: Workspace, cohorts: CohortSet, teacher: Checkpoint, goal: SelectionCriterion) -> StudentValidator:
    """Return who scores the students of an experiment; a process keeps the last two, since asking the teacher costs more than a look at a student."""
    used = cohorts.only(*VALIDATIONS, PRIMARIES[goal.primary])
    key = (str(workspace.root), teacher.task.digest(), used.digest(), teacher.weights_digest, goal.digest())
    if key not in _KEPT:
        _KEPT[key] = StudentValidator(workspace, cohorts, teacher, goal)
    _KEPT.move_to_end(key)
    while len(_KEPT) > 2:
        _KEPT.popitem(last=False)
    return _KEPT[key]


class StudentValidator:
    """Looks at students of one task beside their teacher; cohorts are opened and the teacher is asked once.

    Args:
        workspace: where cohorts and weights lie.
        cohorts: of the experiment.
        teacher: checkpoint of the teacher.
        goal: the experiment's primary figure and what it chooses by.
    """

    def __init__(self, workspace: Workspace, cohorts: CohortSet, teacher: Checkpoint, goal: SelectionCriterion) -> None:
        self.task = teacher.task

        def opened(subset: str) -> TensorCohort:
            if subset not in cohorts.uses:
                raise DataError("COHORT_MISSING", f"expected a cohort for {subset!r}, this set has {sorted(cohorts.uses)}")
            return open_for_maps(cohorts, subset, workspace.store, self.task)

        self.cases, self.test = opened(validation_subset(cohorts)), opened(PRIMARIES[goal.primary])
        self.explained_cases = self.cases.select(torch.arange(min(MAP_CASES, len(self.cases))))
        teacher_network = load_network(workspace, teacher)
        self.teacher_logits, _, traced = predict_class_maps(teacher_network, self.explained_cases.images)
        self.target = self._target(self._answer(self.teacher_logits, self.explained_cases))
        self.maps = self._within(cam(traced, self.target))
        self.changes = self._changes(teacher_network, self.teacher_logits) if goal.select == "response" else None

    def look(self, network: nn.Module, *, arm: str, seed: int, seconds: float) -> ValidationScores:
        """Return what a student shows."""
        logits, _, traced = predict_class_maps(network, self.explained_cases.images)
        rest = (
            predict_logits(network, self.cases.images[len(self.explained_cases) :])
            if len(self.explained_cases) < len(self.cases)
            else logits[:0]
        )
        agreement = cosine_agreement(self._within(cam(traced, self.target)), self.maps)
        gap = (self.target(logits) - self.target(self.teacher_logits)).abs().mean()
        return ValidationScores(
            arm=arm,
            seed=seed,
            task=self._score(torch.cat([logits, rest]), self.cases),
            agreement=_mean(agreement),
            response=None if self.changes is None else _mean(cosine_agreement(self._changes(network, logits), self.changes)),
            gap=float(gap),
            oracle=self._score(predict_logits(network, self.test.images), self.test),
            seconds=seconds,
        )

    def _changes(self, network: nn.Module, logits: Tensor) -> Tensor:
        """Return how the margins against class 0 change when parts are hidden, [n, all patterns, classes and places]."""
        masks = occlusion_patterns(self.task.spatial_dims, PATTERNS, CELLS, HIDDEN, 1)
        changes = [logits - predict_logits(network, hide(self.explained_cases.images, mask)) for mask in masks]
        return torch.cat([(change[:, 1:] - change[:, :1]).flatten(1) for change in changes], dim=1)

    def _target(self, answer: Tensor) -> Target:
        return class_margin(answer) if self.task.kind is TaskKind.CLASSIFICATION else lesion_margin((answer > 0).to(torch.uint8))

    def _answer(self, logits: Tensor, cohort: TensorCohort) -> Tensor:
        answer = logits.argmax(1)
        return cohort.inside(answer) if self.task.kind is TaskKind.SEGMENTATION else answer

    def _within(self, maps: Tensor) -> Tensor:
        return self.explained_cases.inside(maps) if self.task.kind is TaskKind.SEGMENTATION else maps

    def _score(self, logits: Tensor, cohort: TensorCohort) -> float:
        """Return the AUC (of three classes and more the mean of each against the others), or the mean Dice over the cases that have a mask."""
        if self.task.kind is TaskKind.CLASSIFICATION:
            return float(mean_auc(auc, logits.softmax(1), cohort.labels))
        return float(dice(self._answer(logits, cohort), cohort.masks)[cohort.has_mask].nanmean())


def _mean(values: Tensor) -> float:
    """Return the mean over the cases where a cosine is defined, 0 where it is for none."""
    mean = float(values.nanmean())
    return 0.0 if math.isnan(mean) else mean
