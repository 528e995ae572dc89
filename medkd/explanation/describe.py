"""What is measured of one map of one finding: where its mass lies in mm, how it ranks, how it is spread, how far it agrees with the teacher's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from data_contracts import Geometry, MeasureValue, OutsideFocus, Peak
from medkd.attribution.response_peaks import peaks_of
from medkd.explanation.defaults import MASS as MASS
from medkd.explanation.defaults import Mass as Mass
from medkd.explanation.measures_of_maps import measure_value
from medkd.measures._guided import Guided
from medkd.measures.cosine_agreement import cosine_agreement
from medkd.measures.effective_complexity import effective_complexity
from medkd.measures.entropy import entropy
from medkd.measures.gini import gini
from medkd.measures.inside_mass_gap import inside_mass_gap
from medkd.measures.map_auprc import map_auprc
from medkd.measures.mass_in_shell import SHELLS, masses_in_shells
from medkd.measures.otsu_iou import otsu_iou
from medkd.measures.peak_distance import peak_distance
from medkd.measures.pointing_game import pointing_game
from medkd.measures.rank_agreement import rank_agreement
from medkd.measures.relevance_mass_accuracy import relevance_mass_accuracy
from medkd.measures.relevance_rank_accuracy import relevance_rank_accuracy
from medkd.measures.sign_agreement import sign_agreement
from medkd.measures.structural_similarity import structural_similarity
from medkd.measures.top_k_intersection import top_k_intersection

MOST_PEAKS = 3


def _by_name(*measures: Callable[..., Tensor]) -> dict[str, Callable[..., Tensor]]:
    """Return measures by their names. They are imported, not looked up: so that a changed one is in the key of what it measured."""
    return {measure.__name__: measure for measure in measures}


OF_LESION = _by_name(relevance_mass_accuracy, pointing_game, relevance_rank_accuracy, map_auprc, otsu_iou)
OF_MAP = _by_name(gini, entropy, effective_complexity)
OF_BOTH = _by_name(cosine_agreement, rank_agreement, top_k_intersection, sign_agreement, structural_similarity, peak_distance)


def mass_of(attribution: Tensor, mass: Mass) -> Tensor:
    """Return the part of a map that shares are taken of."""
    return attribution.clamp_min(0) if mass == "positive" else attribution


def measures_of(attribution: Tensor, region: Tensor, spacing_mm: tuple[float, ...] | None, mass: Mass) -> tuple[MeasureValue, ...]:
    """Return the measures of a map [slice, row, column] of a lesion; without a region (all 0) those that need none, without a spacing
    (None) none in mm.
    """
    values = [measure_value(name, measure(attribution[None])[0]) for name, measure in OF_MAP.items()]
    if not bool(region.any()):
        return tuple(values)
    whole, inside = mass_of(attribution, mass)[None], region[None]
    values += [measure_value(name, measure(whole, inside, spacing_mm=spacing_mm)[0]) for name, measure in OF_LESION.items()]
    if spacing_mm is None:
        return tuple(values)
    for (inner, outer), share in zip(SHELLS, masses_in_shells(whole, inside, SHELLS, spacing_mm=spacing_mm)[0], strict=True):
        value = measure_value("mass_in_shell", share)
        values.append(
            value.model_copy(update={"name": f"mass_{inner:g}_to_{outer:g}_mm" if outer < float("inf") else f"mass_beyond_{inner:g}_mm"})
        )
    return tuple(values)


def peaks_in(attribution: Tensor, geometry: Geometry | None) -> tuple[Peak, ...]:
    """Return where a map [slice, row, column] is highest, at most :data:`MOST_PEAKS` places that lie apart; in a picture as many pixels."""
    found = peaks_of(attribution, spacing_mm=None if geometry is None else geometry.spacing_mm, most=MOST_PEAKS)
    return tuple(
        Peak(voxel=(one.place[0], one.place[1], one.place[2]), position_lps_mm=position_of(geometry, one.place), value=one.value)
        for one in found
    )


def position_of(geometry: Geometry | None, place: Sequence[int]) -> tuple[float, float, float] | None:
    """Return the patient position of a voxel, LPS mm; None in a picture, which has no place in the patient."""
    return None if geometry is None else geometry.position_lps_mm(*place)


def agreement_of(
    own: Tensor, teacher_maps: Tensor, region: Tensor, spacing_mm: tuple[float, ...] | None, mass: Mass
) -> tuple[MeasureValue, ...]:
    """Return how far a student's map agrees with its teacher's of the same lesion; without a spacing (None) nothing in mm."""
    asked = {name: measure for name, measure in OF_BOTH.items() if spacing_mm is not None or measure is not peak_distance}
    values = [measure_value(name, measure(own[None], teacher_maps[None], spacing_mm=spacing_mm)[0]) for name, measure in asked.items()]
    if not bool(region.any()):
        return tuple(values)
    own, teacher_maps = mass_of(own, mass), mass_of(teacher_maps, mass)
    gap = inside_mass_gap(own[None], Guided(teacher_maps[None], region[None]))[0]
    return (*values, measure_value("inside_mass_gap", gap))


def outside_focus(attribution: Tensor, outside: Tensor, geometry: Geometry | None, mass: Mass, *, explainer: str) -> OutsideFocus | None:
    """Return the largest attribution outside everything that was found, and the share of all that lies outside; None for a map of zeros.

    Args:
        attribution: map [slice, row, column].
        outside: where nothing was found, bool of the same shape.
        geometry: of both; None of a picture.
        mass: which part of the map counts.
        explainer: whose map it is.
    """
    values = mass_of(attribution, mass).abs()
    there, total = values * outside, float(values.sum())
    if total == 0:
        return None
    place = [int(value) for value in torch.unravel_index(there.argmax(), there.shape)]
    return OutsideFocus(
        explainer=explainer,
        slice_index=place[0],
        row=place[1],
        column=place[2],
        position_lps_mm=position_of(geometry, place),
        share_outside=float(there.sum()) / total,
    )
