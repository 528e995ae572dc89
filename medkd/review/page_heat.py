"""Maps of a study as pictures inside a page: near the key slices, in every plane, by one symmetric scale for student, teacher and difference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medkd.explanation.wording import failed_mark
from medkd.pictures.colours import heat_png
from medkd.review.orientation_marks import View
from medkd.review.page_pictures import Drawn, near, reduced_by, uri_of
from medkd.review.page_quality import Quality
from medkd.review.shown import Shown, StudyArrays
from medkd.review.texts import in_each, listed, recognise, say

Maps = Mapping[str, NDArray[np.float32]]
Voxel = tuple[int, int, int]


def heat_of(shown: Shown, arrays: StudyArrays, planes: Sequence[Drawn], quality: Quality, points: Sequence[Voxel]) -> dict[str, Any]:
    """Return per explainer the pictures of student, teacher (if there is one) and their difference.

    Of each: ``limit`` of the scale, ``mark`` that is written over it where it failed a test or holds what is no number, ``held`` (the voxel
    indices of each plane that are in the page), and the pictures by role, plane and voxel index; a slice of zeros has none.

    Args:
        shown: the finding.
        arrays: of the report.
        planes: of the page, the acquired one first.
        quality: of the page.
        points: voxels (slice, row, column) that maps are shown round: the finding's centre, the focus outside of it.
    """
    result: dict[str, Any] = {}
    for explainer in shown.explainers:
        maps = {role: np.asarray(arrays.explained[shown.place][one.tensor], np.float32) for role, one in shown.by(explainer).items()}
        limit = max((float(np.abs(one[np.isfinite(one)]).max(initial=0.0)) for one in maps.values()), default=0.0)
        failed = failed_mark(shown.explanation.failed_checks(explainer), shown.explanation.structures)
        infinite = not all(np.isfinite(one).all() for one in maps.values())
        mark = listed([*([recognise(failed)] if failed else []), *([say("images.not_finite")] if infinite else [])])
        drawn = planes if quality.heat_planes else planes[:1]
        places = {
            plane.view.name: sorted({place for point in points for place in near_places(plane, point[plane.view.axis], quality.heat_reach)})
            for plane in drawn
        }
        result[explainer] = {
            "limit": f"{limit:.3g}",
            "mark": in_each(mark),
            "held": places,
            "planes": _pictures(maps, (limit, bool(failed)), [(one.view, places[one.view.name]) for one in drawn], quality.heat_edge),
        }
    return result


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


def _pictures(maps: Maps, scale: tuple[float, bool], planes: Sequence[tuple[View, list[int]]], edge: int) -> dict[str, Any]:
    """Return pictures by role, plane and voxel index."""
    limit, failed = scale
    found: dict[str, Any] = {}
    for view, places in planes:
        for place in places:
            slices = {role: np.ascontiguousarray(view.slice_of(one, place), np.float32) for role, one in maps.items()}
            if len(slices) == 2:
                slices["difference"] = slices["student"] - slices["teacher"]
            for role, values in slices.items():
                own = found.setdefault(role, {}).setdefault(view.name, {})
                if not np.nan_to_num(values).any():
                    continue
                steps = heat_steps(view, maps["student"].shape, edge)
                small = reduced_by(values, (steps[view.down], steps[view.right]))
                own[str(place)] = uri_of("png", heat_png(small, limit, failed=failed))
    return found
