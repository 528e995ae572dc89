"""What is said of one region of a study, shared by the reports of a panel and of a single model."""

from __future__ import annotations

import torch
from torch import Tensor

from data_contracts import Geometry, MeasureValue, OutsideFocus
from medkd.explanation.measures_of_maps import measure_value
from medkd.measures.pointing_game import pointing_game
from medkd.measures.relevance_mass_accuracy import relevance_mass_accuracy


def region_measures(attribution: Tensor, region: Tensor) -> tuple[MeasureValue, ...]:
    """Return how far a map [slice, row, column] lies on its region."""
    whole, inside = attribution[None], region[None]
    return (
        measure_value("relevance_mass_accuracy", relevance_mass_accuracy(whole, inside)[0]),
        measure_value("pointing_game", pointing_game(whole, inside)[0]),
    )


def outside_focus(attribution: Tensor, found: Tensor, geometry: Geometry, *, explainer: str = "cam") -> OutsideFocus | None:
    """Return the largest absolute attribution outside everything found, and the share of all that lies outside."""
    outside = attribution.abs() * (found == 0)
    total = float(attribution.abs().sum())
    if total == 0:
        return None
    place = [int(value) for value in torch.unravel_index(outside.argmax(), outside.shape)]
    return OutsideFocus(
        explainer=explainer,
        slice_index=place[0],
        row=place[1],
        column=place[2],
        position_lps_mm=geometry.position_lps_mm(*place),
        share_outside=float(outside.sum()) / total,
    )


def number_or_none(value: Tensor) -> float | None:
    """Return the first value as a number, None where it is undefined."""
    number = float(value[0])
    return number if number == number else None
