"""Where a model's reasons lie: shells in mm round what was found, ninths of the picture, how spread they are, whether the teacher's agree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from torch import Tensor

from data_contracts import ExplanationRef, StudyExplanation, map_name
from medkd.explanation.describe import mass_of

#: Measures of maps that every study's explanation carries (:mod:`medkd.explanation.describe`) and that are features here.
MEASURES = (
    "relevance_mass_accuracy",
    "mass_0_to_5_mm",
    "mass_5_to_20_mm",
    "mass_beyond_20_mm",
    "gini",
    "entropy",
    "effective_complexity",
    "cosine_agreement",
    "rank_agreement",
    "top_k_intersection",
    "peak_distance",
)
_ROWS, _COLUMNS = ("upper", "middle", "lower"), ("left", "centre", "right")


def attribution_profile(record: StudyExplanation, arrays: Mapping[str, Tensor]) -> dict[str, float | None]:
    """Return the features ``EXPLAINER/NAME``, each the mean over the findings that are explained; None where none is.

    Args:
        record: what was found and explained.
        arrays: its maps.
    """
    found: dict[str, float | None] = {"explained_findings": float(len(record.explained))}
    for entry in record.request.explainers:
        own = [one for one in record.maps if one.model_role == "student" and one.method.explainer == entry.name]
        compared = {name for one in own for name in (value.name for value in one.measures)}
        for name in MEASURES:
            if name in compared or not own:
                found[f"{entry.name}/{name}"] = _mean([one.measure(name) for one in own])
        rows = [region_shares(mass_of(arrays[_tensor(one)], record.mass)) for one in own]
        for name in (f"{row} {column}" for row in _ROWS for column in _COLUMNS):
            found[f"{entry.name}/share {name}"] = _mean([row[name] for row in rows])
    return found


def region_shares(attribution: Tensor) -> dict[str, float | None]:
    """Return the shares of |map| in the nine ninths of the picture, over all slices, by name; None for a map of zeros.

    The ninths are of the stored rows and columns: they say where in the picture, not where in the patient.

    Args:
        attribution: [slice, row, column].
    """
    mass = attribution.detach().abs().double().sum(0)
    total, (rows, columns) = float(mass.sum()), mass.shape
    cuts = [[round(extent * third / 3) for third in range(4)] for extent in (rows, columns)]
    return {
        f"{_ROWS[r]} {_COLUMNS[c]}": float(mass[cuts[0][r] : cuts[0][r + 1], cuts[1][c] : cuts[1][c + 1]].sum()) / total
        if total > 0
        else None
        for r in range(3)
        for c in range(3)
    }


def _tensor(ref: ExplanationRef) -> str:
    return map_name(ref.number, "student", ref.method.explainer)


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None and math.isfinite(value)]
    return sum(defined) / len(defined) if defined else None
