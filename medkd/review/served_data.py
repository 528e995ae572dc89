"""What the scripts of a served page are given: as :mod:`medkd.review.page_data`, but pictures are addresses, and before the own read nothing of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_contracts import ReviewReport
from medkd.explanation.wording import failed_mark
from medkd.review.orientation_marks import View, views_of
from medkd.review.page_data import PageData, centre_of, script_texts, view_payload
from medkd.review.page_images import ImageGreys, greys_of
from medkd.review.page_outlines import outlines_of
from medkd.review.page_pictures import Drawn
from medkd.review.page_quality import QUALITIES
from medkd.review.shown import Shown, shown_in
from medkd.review.study_file import StudyFile
from medkd.review.texts import in_each, listed, recognise, say


def study_greys(report: ReviewReport, arrays: StudyFile, image: int = 0) -> ImageGreys:
    """Return how an image of a study is shown: the grey levels that its slices are served in, and its windows."""
    return greys_of(report, image, arrays.sample(image))


def served_data(report: ReviewReport, arrays: StudyFile, base: str, *, locked: bool) -> PageData:
    """Return what the scripts of a served page are given.

    Args:
        report: what is shown.
        arrays: of the report.
        base: address of the study.
        locked: whether the own read is: outlines, maps and places of findings are left out before.
    """
    shape, space, views = arrays.shape, report.volume.space, views_of(report.volume.geometry)
    drawn = [Drawn(view, list(range(shape[view.axis])), (1, 1, 1), np.empty(0, np.float32)) for view in views]
    greys = [study_greys(report, arrays, image) for image in range(arrays.images)]
    shown = shown_in(report) if locked else []
    payload = {
        "shape": list(shape),
        "affine": None if space is None else [list(row[:3]) for row in space.affine_lps_mm[:3]],
        "spacing": None if space is not None or views[0].spacing is None else list(views[0].spacing),
        **greys[0].payload(),
        "further": [{**one.payload(), "pictures": {}, "fine": {}} for one in greys[1:]],
        "texts": script_texts(),
        "views": {one.view.name: view_payload(one, shape, space, max(shape)) for one in drawn},
        "prior": None,
        "pictures": {},
        "fine": {},
        "centres": [list(centre_of(one, _region(one, arrays), shape)) for one in shown],
        "explainers": [list(one.explainers) for one in shown],
        "outlines": _outlines(arrays, views) if locked else {},
        "heat": [_heat(one, arrays, views) for one in shown],
        "served": {"base": base, "locked": locked},
    }
    return PageData(payload, QUALITIES[0], (), tuple(name for name, _, _ in greys[0].windows))


def _outlines(arrays: StudyFile, views: Sequence[View]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in arrays.masks:
        mask = arrays.mask(f"mask/{name}") > 0
        found[name] = {view.name: outlines_of(mask, view, list(range(arrays.shape[view.axis]))) for view in views}
    return found


def _region(shown: Shown, arrays: StudyFile) -> NDArray[np.uint8] | None:
    name = f"{shown.place}/region/{shown.finding.number}"
    return arrays.mask(name) if name in arrays.tensors else None


def map_names(shown: Shown, explainer: str) -> dict[str, str]:
    """Return the names that a finding's maps by an explainer have in the study's file, by role."""
    return {role: f"{shown.place}/{one.tensor}" for role, one in shown.by(explainer).items()}


def _heat(shown: Shown, arrays: StudyFile, views: Sequence[View]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for explainer in shown.explainers:
        names = map_names(shown, explainer)
        failed = failed_mark(shown.explanation.failed_checks(explainer), shown.explanation.structures)
        finite = all(arrays.about[name]["finite"] for name in names.values())
        held = [arrays.kept(name) for name in names.values()]
        found[explainer] = {
            "limit": f"{max(arrays.limit(name) for name in names.values()):.3g}",
            "mark": in_each(listed([*([recognise(failed)] if failed else []), *([] if finite else [say("images.not_finite")])])),
            "roles": [*names, *(["difference"] if len(names) == 2 else [])],
            "held": {} if len(held[0]) == arrays.shape[0] else {views[0].name: list(held[0])},
        }
    return found
