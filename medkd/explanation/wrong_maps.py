"""Explanations whose maps are wrong on purpose, so that whoever reads them can be asked whether they look at the maps at all.

Everything that is measured of a map is measured anew on the wrong one, so that figures and pictures agree and nothing but what the maps show says
that they are wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from data_contracts import DataError, ExplanationRef, StudyExplanation, map_name
from medkd.explanation.describe import agreement_of, measures_of, outside_focus, peaks_in

Kind = Literal["other_finding", "other_study", "mirrored"]
Maps = Mapping[str, NDArray[np.float32]]


def swapped(maps: Maps, explanation: StudyExplanation) -> Maps:
    """Return maps of each finding in the place of those of the next one.

    Raises:
        DataError: ``CONTROL_ALONE`` where there is only one finding that has maps.
    """
    numbers = explanation.explained
    if len(numbers) < 2:
        raise DataError("CONTROL_ALONE", f"expected two findings that have maps, got {len(numbers)}")
    following = dict(zip(numbers, (*numbers[1:], numbers[0]), strict=True))
    return {one.tensor: maps[_of_number(one, following[one.number])] for one in explanation.maps}


def _of_number(one: ExplanationRef, number: int) -> str:
    return map_name(number, one.model_role, one.method.explainer)


def mirrored(maps: Maps, axis: int) -> Maps:
    """Return maps mirrored along an axis of the volume.

    Args:
        maps: [slice, row, column] each.
        axis: that is reversed.
    """
    return {name: np.ascontiguousarray(np.flip(values, axis)) for name, values in maps.items()}


def moved_onto(maps: Maps, shape: tuple[int, ...], scales: Mapping[str, float]) -> Maps:
    """Return maps of another study on the grid of this one, by the nearest voxel, each with the largest magnitude of the map it stands for.

    Args:
        maps: of the other study, by the names of this one's.
        shape: of this study.
        scales: largest magnitudes, by name.
    """
    found = {}
    for name, values in maps.items():
        places = [np.minimum(np.arange(size) * own // size, own - 1) for size, own in zip(shape, values.shape, strict=True)]
        moved = values[np.ix_(*places)]
        peak = float(np.abs(moved).max(initial=0.0))
        found[name] = moved * np.float32(scales[name] / peak if peak else 1.0)
    return found


def with_wrong_maps(
    explanation: StudyExplanation, maps: Maps, regions: Mapping[int, NDArray[Any]], marked: NDArray[Any] | None
) -> StudyExplanation:
    """Return an explanation whose maps are others, everything that is measured of them measured anew.

    What hiding by a map does to the network's answer is left as it was: it cannot be measured without the network.

    Args:
        explanation: the genuine one.
        maps: wrong ones by the names of the genuine, [slice, row, column].
        regions: by number, what each map should lie on.
        marked: what the student segments, None of a model that classifies.
    """
    return explanation.model_copy(
        update={
            "maps": tuple(_measured(explanation, one, maps, regions) for one in explanation.maps),
            "lesions": tuple(_with_focus(explanation, one, maps, marked) for one in explanation.lesions),
            "answers": tuple(_with_focus(explanation, one, maps, regions.get(one.number)) for one in explanation.answers),
        }
    )


def _measured(explanation: StudyExplanation, one: ExplanationRef, maps: Maps, regions: Mapping[int, NDArray[Any]]) -> ExplanationRef:
    space, mass = explanation.volume.space, explanation.mass
    spacing = None if space is None else space.spacing_mm
    own, region = torch.from_numpy(maps[one.tensor]), torch.from_numpy(np.ascontiguousarray(regions[one.number]))
    measures = [*measures_of(own, region, spacing, mass)]
    teacher = map_name(one.number, "teacher", one.method.explainer)
    if one.model_role == "student" and teacher in maps:
        measures += agreement_of(own, torch.from_numpy(maps[teacher]), region, spacing, mass)
    found = {value.name: value for value in measures}
    # The genuine record's measures in its order: a control has no more and no fewer.
    return one.model_copy(update={"measures": tuple(found.get(value.name, value) for value in one.measures), "peaks": peaks_in(own, space)})


def _with_focus(explanation: StudyExplanation, finding: Any, maps: Maps, marked: NDArray[Any] | None) -> Any:
    """Return a finding with what the first explainer's wrong map says of the places outside."""
    if finding.outside is None or marked is None:
        return finding
    own = maps[map_name(finding.number, "student", finding.outside.explainer)]
    outside = torch.from_numpy(np.ascontiguousarray(marked)) == 0
    focus = outside_focus(torch.from_numpy(own), outside, explanation.volume.space, explanation.mass, explainer=finding.outside.explainer)
    return finding.model_copy(update={"outside": focus})
