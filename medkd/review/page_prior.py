"""An earlier study as it lies in a page: its acquired slices, each beside the slice of the current study that lies nearest to it in the patient."""

from __future__ import annotations

from typing import Any

import numpy as np

from data_contracts import Geometry
from medkd.review.grey_levels import Levels
from medkd.review.orientation_marks import views_of
from medkd.review.page_outlines import outlines_of
from medkd.review.page_pictures import Drawn, box_of, drawn_planes
from medkd.review.page_quality import Quality
from medkd.review.shown import PriorStudy


def prior_plane(prior: PriorStudy, quality: Quality) -> Drawn:
    """Return the acquired plane of an earlier study as a page of a quality holds it."""
    return drawn_planes(np.asarray(prior.arrays.volume, np.float32), views_of(prior.report.volume.geometry)[:1], quality)[0]


def prior_data(prior: PriorStudy, space: Geometry, levels: Levels, quality: Quality) -> dict[str, Any]:
    """Return what the scripts are given of an earlier study.

    ``beside`` is the prior slice of each slice of the current study, -1 where the prior study does not reach; ``positions`` are mm along the prior
    slices' own axis.

    Args:
        prior: the earlier study.
        space: of the current study.
        levels: of the current study: both are windowed alike.
        quality: of the page.
    """
    plane, before = prior_plane(prior, quality), prior.report.volume.space
    shape, view = plane.values.shape, plane.view
    down, right = view.spacing or (1.0, 1.0)
    return {
        "beside": [] if before is None else slices_beside(space, before),
        "pictures": [plane.picture(place, levels, quality.loss) for place in plane.places],
        "outlines": {name: outlines_of(np.asarray(mask, bool), view, plane.places) for name, mask in prior.arrays.masks().items()},
        "size": [shape[view.down], shape[view.right]],
        "aspect": [shape[view.right] * right, shape[view.down] * down],
        "marks": {edge: side.value for edge, side in view.marks.items()},
        "box": list(box_of(view, shape, plane.steps)),
    }


def slices_beside(space: Geometry, before: Geometry) -> list[int]:
    """Return of each slice of a study the slice of another that its middle lies in, -1 where it lies in none; by the two headers alone."""
    _, rows, columns = space.shape
    affine = np.asarray(before.affine_lps_mm)
    middles = [space.position_lps_mm(place, (rows - 1) / 2, (columns - 1) / 2) for place in range(space.shape[0])]
    found = np.linalg.solve(affine[:3, :3], (np.asarray(middles) - affine[:3, 3]).T)[0]
    return [round(one) if -0.5 <= one < before.shape[0] - 0.5 else -1 for one in found.tolist()]
