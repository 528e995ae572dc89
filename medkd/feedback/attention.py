"""Where a network's maps lie on studies that readers gave feedback on: inside the label, and on what they forbade."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from data_contracts import (
    AttentionFigures,
    AttentionValues,
    Checkpoint,
    CohortSet,
    Estimate,
    FeedbackDirectives,
    FeedbackPart,
    Subset,
)
from medkd.attribution._attribute import attribute
from medkd.cohorts.follow_directives import directive_of
from medkd.cohorts.open_cohort import open_reviewed
from medkd.cohorts.tensor_cohort import TensorCohort
from medkd.evaluation.bootstrap import Statistic, bootstrap_figure, is_defined, mean_of
from medkd.inference.predict import predict_logits
from medkd.models._load import load_network
from medkd.storage.stage import stage
from medkd.storage.workspace import Workspace
from medkd.targets import Target, class_margin, lesion_margin

#: Subsets that only a teacher sees: of them nobody judges a student.
_TEACHERS = (Subset.TEACHER_TRAIN, Subset.TEACHER_VALIDATION)


@stage
def measure_attention(
    workspace: Workspace, model: Checkpoint, cohorts: CohortSet, directives: FeedbackDirectives, explainer: str
) -> AttentionValues:
    """Return where a network's maps lie on the reviewed cases of its seed's cohorts: those that teach and those that judge.

    Args:
        workspace: where cohorts and weights lie.
        model: the network; its own answer is explained.
        cohorts: of its recipe.
        directives: what readers said.
        explainer: that makes the maps.
    """
    network = load_network(workspace, model)
    by_key = {one.case_key: one for one in directives.studies}
    rows: dict[str, tuple[str, FeedbackPart, float | None, float | None]] = {}
    for subset in cohorts.uses:
        own = subset.partition("/")[2] in ("", str(model.seed))
        found = open_reviewed(cohorts, subset, workspace.store, model.task, directives) if own and subset not in _TEACHERS else None
        if found is None:
            continue
        inside, outside = shares_of(network, found, explainer)
        for row, case in enumerate(found.cases):
            said = directive_of(case, by_key)
            if said is None:
                continue  # nobody read it
            rows.setdefault(case.case_key, (case.patient_key, said.part, _or_none(inside[row]), _or_none(outside[row])))
    columns = tuple(zip(*rows.values(), strict=True)) or ((), (), (), ())
    return AttentionValues(
        weights_digest=model.weights_digest,
        seed=model.seed,
        explainer=explainer,
        case_keys=tuple(rows),
        patient_keys=columns[0],
        parts=columns[1],
        inside=columns[2],
        outside=columns[3],
    )


def shares_of(network: nn.Module, cohort: TensorCohort, explainer: str) -> tuple[Tensor, Tensor]:
    """Return the shares of each case's absolute attribution inside the label (or what is allowed) and on what is forbidden, [n] each, NaN where undefined."""
    logits = predict_logits(network, cohort.images)
    mass = attribute(network, cohort.images, _answer(logits), explainer=explainer).abs().double().flatten(1)
    space = tuple(cohort.images.shape[2:])
    said = cohort.directives.forbidden if cohort.directives is not None else (None,) * len(cohort)
    forbidden = torch.stack([torch.zeros(space, dtype=torch.uint8) if one is None else one for one in said]).flatten(1) > 0
    marked = (cohort.masks > 0).flatten(1) & cohort.has_mask[:, None]
    # Where nobody labelled anything, what readers did not forbid of a map that they corrected is what they allow.
    wanted = torch.where(marked.any(1, keepdim=True), marked, ~forbidden & forbidden.any(1, keepdim=True))
    return _share(mass, wanted), _share(mass, forbidden)


def _answer(logits: Tensor) -> Target:
    answer = logits.argmax(1)
    return class_margin(answer) if logits.ndim == 2 else lesion_margin((answer > 0).to(torch.uint8))


def _share(mass: Tensor, region: Tensor) -> Tensor:
    total = mass.sum(1)
    share = (mass * region).sum(1) / total.clamp_min(1e-300)
    return torch.where((total > 0) & region.any(1), share, torch.full_like(share, float("nan")))


def _or_none(value: Tensor) -> float | None:
    return None if bool(value.isnan()) else min(1.0, float(value))


class Attention:
    """The values of one student under several seeds: each measured where its seed's cohorts hold reviewed cases.

    Args:
        values: one per seed.
        parts: whose cases are looked at.
    """

    def __init__(self, values: Sequence[AttentionValues], parts: Sequence[FeedbackPart] = ("train", "eval")) -> None:
        self.patients: dict[str, str] = {}
        for one in values:
            chosen = zip(one.case_keys, one.patient_keys, one.parts, strict=True)
            self.patients |= {case: patient for case, patient, part in chosen if part in parts}
        self._values = values

    def array(self, name: str) -> np.ndarray:
        """Return the values of that name, float64 [seeds, cases], NaN where undefined."""
        found = [dict(zip(one.case_keys, getattr(one, name), strict=True)) for one in self._values]
        rows = [[float("nan") if own.get(case) is None else own[case] for case in self.patients] for own in found]
        return np.array(rows, dtype=np.float64).reshape(len(self._values), len(self.patients))

    def figures(self) -> AttentionFigures:
        """Return the means with their intervals."""
        inside, outside = (self._estimate(self.array(name)) for name in ("inside", "outside"))
        return AttentionFigures(studies=len(self.patients), inside=inside, outside=outside)

    def difference(self, other: Attention, name: str) -> Estimate | None:
        """Return this less another on the same cases, paired; None where no case has both."""
        return self._estimate(self.array(name) - other.array(name))

    def _estimate(self, values: np.ndarray) -> Estimate | None:
        if not values.size:
            return None
        statistic: Statistic = mean_of(values)
        patients = list(self.patients.values())
        if not is_defined(statistic, len(patients), len(values)):
            return None
        return bootstrap_figure(statistic, patients, seeds=len(values), missing=int(np.isnan(values).sum()))
