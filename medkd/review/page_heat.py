"""Maps of a study as pictures inside a page: near the key slices, in every plane, by one symmetric scale for student, teacher and difference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medkd.explanation.wording import failed_mark
from medkd.pictures.colours import heat_png
from medkd.review.orientation_marks import View
from medkd.review.page_pictures import Drawn, near, reduced_by, uri_of
from medkd.review.page_quality import Quality
from medkd.review.shown import Shown, StudyArrays
from medkd.review.texts import Text, in_each, listed, recognise, say

Maps = Mapping[str, NDArray[np.float32]]
Voxel = tuple[int, int, int]


@dataclass(frozen=True)
class ShownMaps:
    """An explainer's maps of a finding and what is the same of them in every quality of a page.

    Attributes:
        maps: by role, the student's first, [slice, row, column].
        limit: of the symmetric scale: the largest magnitude of all that are numbers.
        mark: what is written over them where they failed a test or hold what is no number.
        failed: whether they failed a test.
    """

    maps: Maps
    limit: float
    mark: Text
    failed: bool


def shown_maps(shown: Shown, arrays: StudyArrays) -> dict[str, ShownMaps]:
    """Return the maps of a finding by explainer."""
    found = {}
    for explainer in shown.explainers:
        maps = {role: np.asarray(arrays.explained[shown.place][one.tensor], np.float32) for role, one in shown.by(explainer).items()}
        limits = [_limit(one) for one in maps.values()]
        failed = failed_mark(shown.explanation.failed_checks(explainer), shown.explanation.structures)
        marks = [recognise(failed)] if failed else []
        marks += [say("images.not_finite")] if not all(finite for _, finite in limits) else []
        found[explainer] = ShownMaps(maps, max(limit for limit, _ in limits), listed(marks), bool(failed))
    return found


def _limit(values: NDArray[np.float32]) -> tuple[float, bool]:
    """Return the largest magnitude of a map's numbers, and whether it holds nothing else."""
    low, high = float(values.min()), float(values.max())
    if np.isfinite(low) and np.isfinite(high):
        return max(-low, high), True
    return float(np.abs(values[np.isfinite(values)]).max(initial=0.0)), False


def heat_of(shown: Mapping[str, ShownMaps], planes: Sequence[Drawn], quality: Quality, points: Sequence[Voxel]) -> dict[str, Any]:
    """Return per explainer the pictures of student, teacher (if there is one) and their difference.

    Of each: ``limit`` of the scale, ``mark`` that is written over it, ``held`` (the voxel indices of each plane that are in the page), and the
    pictures by role, plane and voxel index; a slice of zeros has none.

    Args:
        shown: maps of the finding by explainer.
        planes: of the page, the acquired one first.
        quality: of the page.
        points: voxels (slice, row, column) that maps are shown round: the finding's centre, the focus outside of it.
    """
    drawn = planes if quality.heat_planes else planes[:1]
    held = {
        plane.view.name: sorted({place for point in points for place in near_places(plane, point[plane.view.axis], quality.heat_reach)})
        for plane in drawn
    }
    return {
        explainer: {
            "limit": f"{one.limit:.3g}",
            "mark": in_each(one.mark),
            "held": held,
            "planes": _pictures(one, [(plane.view, held[plane.view.name]) for plane in drawn], quality.heat_edge),
        }
        for explainer, one in shown.items()
    }


def near_places(plane: Drawn, voxel: int, reach: int) -> list[int]:
    """Return the voxel indices of a plane's slices up to ``reach`` to each side of the one nearest to a voxel."""
    key = int(np.abs(np.asarray(plane.places) - voxel).argmin())
    return [plane.places[index] for index in near(key, reach, len(plane.places))]


def heat_steps(view: View, shape: Sequence[int], edge: int) -> tuple[int, int, int]:
    """Return the voxels that a pixel of a map stands for in a plane, along each axis of the array."""
    steps = [1, 1, 1]
    for axis in (view.down, view.right):
        steps[axis] = max(1, math.ceil(shape[axis] / edge))
    return steps[0], steps[1], steps[2]


def _pictures(shown: ShownMaps, planes: Sequence[tuple[View, list[int]]], edge: int) -> dict[str, Any]:
    """Return pictures by role, plane and voxel index."""
    found: dict[str, Any] = {}
    for view, places in planes:
        for place in places:
            slices = {role: np.ascontiguousarray(view.slice_of(one, place), np.float32) for role, one in shown.maps.items()}
            if len(slices) == 2:
                slices["difference"] = slices["student"] - slices["teacher"]
            for role, values in slices.items():
                own = found.setdefault(role, {}).setdefault(view.name, {})
                if not np.nan_to_num(values).any():
                    continue
                steps = heat_steps(view, shown.maps["student"].shape, edge)
                small = reduced_by(values, (steps[view.down], steps[view.right]))
                own[str(place)] = uri_of("png", heat_png(small, shown.limit, failed=shown.failed))
    return found
