"""Figures of a form beside the version that it was made of: task, calibration and maps, with intervals over patients (and seeds)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_contracts import Estimate, FormAnswers
from medkd.evaluation.bootstrap import Statistic, auc_of, bootstrap_figure, is_defined, mean_of
from medkd.measures.rank_agreement import rank_agreement
from medkd.measures.relevance_mass_accuracy import relevance_mass_accuracy
from medkd.measures.sign_agreement import sign_agreement
from medkd.storage.store import Store

Rows = NDArray[np.float64]
#: Of a form's map and the version's, [1, *space] each, and what is marked there.
Quantity = Callable[[Tensor, Tensor, Tensor | None], float]


@dataclass(frozen=True)
class AnsweredForm:
    """What the forms of a candidate answered, one a seed.

    Attributes:
        answers: records, on the same cases.
        arrays: of each record, ``task``, ``gaps``, ``counts``.
    """

    answers: tuple[FormAnswers, ...]
    arrays: tuple[dict[str, Rows], ...]

    @functools.cached_property
    def task(self) -> Statistic:
        """Return mean Dice or AUC of some cases under a seed."""
        values = np.stack([arrays["task"] for arrays in self.arrays])
        first = self.answers[0]
        return auc_of(values, np.array(first.labels)) if first.figure == "auc" else mean_of(values)

    @functools.cached_property
    def calibration(self) -> Statistic:
        """Return the expected calibration error of some cases under a seed."""

        def statistic(rows: NDArray[np.int64], seed: int) -> float:
            arrays = self.arrays[seed]
            cases = float(arrays["counts"][rows].sum())
            return float(np.abs(arrays["gaps"][rows].sum(0)).sum() / cases) if cases else float("nan")

        return statistic


def answered(store: Store, answers: Sequence[FormAnswers]) -> AnsweredForm:
    """Read what forms of a candidate answered, every byte verified."""
    read = (store.read_tensors(one.arrays) for one in answers)
    return AnsweredForm(tuple(answers), tuple({name: value.double().numpy() for name, value in arrays.items()} for arrays in read))


def task_figures(form: AnsweredForm, version: AnsweredForm) -> dict[str, Estimate | None]:
    """Return task figure and calibration error of a form, and how far each lies above the version's on the same cases."""
    patients, seeds = form.answers[0].patients, len(form.answers)

    def figure(statistic: Statistic) -> Estimate | None:
        return bootstrap_figure(statistic, patients, seeds=seeds) if is_defined(statistic, len(patients), seeds) else None

    return {
        "task": figure(form.task),
        "task_difference": figure(_difference(form.task, version.task)),
        "calibration": figure(form.calibration),
        "calibration_difference": figure(_difference(form.calibration, version.calibration)),
    }


def _difference(form: Statistic, version: Statistic) -> Statistic:
    # The version was trained once: it stands beside every seed of a form.
    return lambda rows, seed: form(rows, seed) - version(rows, 0)


def map_figures(store: Store, form: AnsweredForm, version: AnsweredForm, masks: Tensor | None) -> dict[str, Estimate | None]:
    """Return how a form's class maps agree with the version's: both explain what the version answers.

    Args:
        store: where maps lie.
        form: of one candidate.
        version: that it was made of.
        masks: uint8 [m, *space], what is marked; None where nothing is known to be.

    Returns:
        ``map_rank_correlation``, ``map_sign_stability``, ``map_lesion_share`` (form less version); None of what is defined for no case.
    """
    reference = version.answers[0].maps
    if reference is None or any(one.maps is None for one in form.answers):
        return dict.fromkeys(("map_rank_correlation", "map_sign_stability", "map_lesion_share"))
    kept = store.read_tensors(reference)
    found = [_compared(store.read_tensors(one.maps), kept, masks) for one in form.answers if one.maps is not None]
    patients = form.answers[0].patients[: len(kept["maps"])]
    figures = {}
    for name in found[0]:
        values = np.stack([own[name] for own in found])
        defined = is_defined(mean_of(values), values.shape[1], len(found))
        missing = int(np.isnan(values).sum())
        figures[name] = bootstrap_figure(mean_of(values), patients, seeds=len(found), missing=missing) if defined else None
    return figures


def _compared(own: dict[str, Tensor], kept: dict[str, Tensor], masks: Tensor | None) -> dict[str, Rows]:
    """Return the three quantities of each case, [m]; the mean over the classes that the version answers there, NaN where there is none."""
    rows: dict[str, list[float]] = {"map_rank_correlation": [], "map_sign_stability": [], "map_lesion_share": []}
    for case in range(len(kept["maps"])):
        pairs = [_margins(index, own["maps"][case], kept["maps"][case]) for index in _answered_classes(kept["answers"][case])]
        mask = None if masks is None else masks[case][None]
        for name, quantity in _QUANTITIES.items():
            values = [_valued(quantity, form, version, mask) for form, version in pairs]
            rows[name].append(float(np.nanmean(values)) if values and not np.isnan(values).all() else float("nan"))
    return {name: np.array(values) for name, values in rows.items()}


def _answered_classes(answers: Tensor) -> list[int]:
    """Return the class of a case, or the foreground classes that are segmented in it."""
    return [int(answers)] if answers.ndim == 0 else [int(index) for index in answers.unique().tolist() if index]


def _margins(index: int, own: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    """Return what speaks for a class against the others, as evidence on pages is drawn: [1, *space] each."""
    others = [place for place in range(len(own)) if place != index] if index == 0 or len(own) == 2 else [0]
    return (own[index] - own[others].mean(0))[None], (kept[index] - kept[others].mean(0))[None]


def _valued(quantity: Quantity, form: Tensor, version: Tensor, mask: Tensor | None) -> float:
    """Return a quantity; of a form whose map says nothing where the version's does, the least that agreement is worth.

    Left out, cases whose map has gone flat would leave the others to speak for the form: the blindest form would pass.
    """
    value = quantity(form, version, mask)
    if not np.isnan(value) or np.isnan(quantity(version, version, mask)):
        return value
    # Nothing positive lies in the lesion, either: the version's whole share is lost.
    return 0.0 if quantity is not _share or mask is None else -float(relevance_mass_accuracy(version.clamp_min(0), mask))


def _share(form: Tensor, version: Tensor, mask: Tensor | None) -> float:
    if mask is None:
        return float("nan")
    shares = [float(relevance_mass_accuracy(values.clamp_min(0), mask)) for values in (form, version)]
    return shares[0] - shares[1]


_QUANTITIES: dict[str, Quantity] = {
    "map_rank_correlation": lambda form, version, _mask: float(rank_agreement(form, version)),
    "map_sign_stability": lambda form, version, _mask: float(sign_agreement(form, version)),
    "map_lesion_share": _share,
}


def masks_of(masks: Tensor, has_mask: Tensor) -> Tensor | None:
    """Return masks of map cases; None where no case has one."""
    return masks if bool(has_mask.any()) and bool(torch.any(masks)) else None
