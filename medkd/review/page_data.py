"""What the scripts of a page are given: pictures of every plane, outlines, maps, windows and texts, in the best quality that fits."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_contracts import Geometry, ReviewReport
from medkd.review.orientation_marks import views_of
from medkd.review.page_heat import Voxel, heat_of, heat_steps, shown_maps
from medkd.review.page_images import greys_of
from medkd.review.page_outlines import outlines_of
from medkd.review.page_pictures import Drawn, box_of, data_uri, drawn_planes, joined, near, steps_of
from medkd.review.page_prior import prior_data, prior_plane
from medkd.review.page_quality import QUALITIES, Quality
from medkd.review.shown import PriorStudy, Shown, StudyArrays, shown_in
from medkd.review.texts import LANGUAGES, Said, texts_of

#: Texts that the scripts write.
_OF_SCRIPT = (
    *("images.where", "images.position", "images.window_now", "images.not_held", "images.broken", "prior.outside"),
    *("ruler.mm", "ruler.pixels", "ruler.first", "ruler.second"),
)
#: Of this many pictures one is drawn to foresee how large a page would be.
_PROBED = 12
#: Share of a page's bytes that pictures may be foreseen to take: the rest is text, and the error of the estimate.
_SHARE = 0.9
#: Patient axis that the slices of a plane follow one another along.
_ALONG = {"sagittal": "x", "coronal": "y", "axial": "z"}


@dataclasses.dataclass(frozen=True)
class PageData:
    """What the scripts of a page are given, and what was left out of it.

    Attributes:
        payload: as JSON; ``medkd/review/README.md`` says what it holds.
        quality: that was taken.
        reduced: what it leaves out, in words.
        windows: names of the windows that the keys 1 to 5 choose.
    """

    payload: Mapping[str, Any]
    quality: Quality
    reduced: tuple[Said, ...]
    windows: tuple[Said, ...]


def page_data(report: ReviewReport, arrays: StudyArrays, prior: PriorStudy | None, most_bytes: int) -> PageData:
    """Return what the scripts of a page are given, by the first quality whose pictures fit; by the last where none fits.

    Args:
        report: what is shown.
        arrays: of the report.
        prior: an earlier study that is shown beside it.
        most_bytes: of the page.
    """
    drawing = _Drawing(report, arrays, prior)
    fixed = drawing.fixed()
    left = int(most_bytes * _SHARE) - len(json.dumps(fixed))
    found: dict[str, Any] = {}
    for quality in QUALITIES:
        last = quality == QUALITIES[-1]
        if not last and drawing.foreseen(quality, left) > left:
            continue
        found = drawing.pictures(quality)
        if last or len(json.dumps(found)) <= left:
            break
    return PageData({**fixed, **found}, quality, tuple(drawing.left_out(quality)), tuple(name for name, _, _ in drawing.windows))


def centre_of(shown: Shown, mask: NDArray[Any] | None, shape: tuple[int, ...]) -> Voxel:
    """Return the voxel that a finding is shown round: on its key slice the marked voxel nearest to the middle of what is marked there.

    Where nothing is marked it is the middle of the slice.

    Args:
        shown: the finding.
        mask: what is marked, [slice, row, column]; None where nothing is.
        shape: slices, rows, columns.
    """
    key = shown.finding.key_slice
    marked = np.empty((0, 2)) if mask is None else np.argwhere(np.asarray(mask[key]))
    if not len(marked):
        return key, shape[1] // 2, shape[2] // 2
    row, column = marked[np.square(marked - marked.mean(0)).sum(1).argmin()]
    return key, int(row), int(column)


class _Drawing:
    """A study as it is drawn in any quality."""

    def __init__(self, report: ReviewReport, arrays: StudyArrays, prior: PriorStudy | None) -> None:
        self.report, self.arrays, self.prior = report, arrays, prior
        self.shown = shown_in(report)
        self.values = np.asarray(arrays.volume, np.float32)
        self.views = views_of(report.volume.geometry)
        self.images = [self.values, *(np.asarray(one, np.float32) for one in arrays.further)]
        self.greys = [greys_of(report, number, values) for number, values in enumerate(self.images)]
        self.levels, self.windows = self.greys[0].levels, self.greys[0].windows
        self._foreseen: dict[tuple[int, str, tuple[int, int, int], int | None], float] = {}
        self.maps = [shown_maps(one, arrays) for one in self.shown]
        self.centres = [
            centre_of(one, arrays.explained[one.place].get(f"mask/{one.finding.number}"), self.values.shape) for one in self.shown
        ]

    def fixed(self) -> dict[str, Any]:
        """Return what is the same in every quality."""
        space = self.report.volume.space
        return {
            "shape": list(self.values.shape),
            "affine": None if space is None else [list(row[:3]) for row in space.affine_lps_mm[:3]],
            "spacing": None if space is not None or self.views[0].spacing is None else list(self.views[0].spacing),
            **self.greys[0].payload(),
            "centres": [list(centre) for centre in self.centres],
            "explainers": [list(one.explainers) for one in self.shown],
            "texts": script_texts(),
        }

    def foreseen(self, quality: Quality, most: float) -> float:
        """Return about how many bytes the pictures of a quality take, from every twelfth of them; any number above ``most`` where it is more."""
        if quality.loss is None and self.values.size > 2**24:
            return float("inf")  # sixteen million voxels without loss fit into no page: not even a twelfth of them is drawn
        planes, total = drawn_planes(self.values, self.views, quality), 0.0
        beside = [] if self.prior is None else [prior_plane(self.prior, quality)]
        for plane in (*planes, *beside, *(plane for values in self.images[1:] for plane in drawn_planes(values, self.views, quality))):
            total += self._bytes_of(plane, quality.loss)
            if total > most:
                return total
        fine = self._fine_places(quality, planes[0])
        total += len(self.images) * len(fine) * (len(self._fine(0, fine[len(fine) // 2], quality)) if fine else 0)
        if self.shown and total < most:
            key_alone = dataclasses.replace(quality, heat_reach=0)
            total += len(json.dumps(self._heat(0, planes, key_alone))) * len(self.shown) * (2 * quality.heat_reach + 1)
        return total

    def _bytes_of(self, plane: Drawn, loss: int | None) -> float:
        """Return about how many bytes the slices of a plane take; several qualities share planes."""
        same = (id(plane.values), plane.view.name, plane.steps, loss)
        if same not in self._foreseen:
            probed = range(0, len(plane.places), _PROBED)
            taken = sum(len(plane.picture(at, self.levels, loss)) for at in probed)
            self._foreseen[same] = taken * len(plane.places) / len(probed)
        return self._foreseen[same]

    def pictures(self, quality: Quality) -> dict[str, Any]:
        """Return the pictures, outlines and maps of a quality."""
        planes, space = drawn_planes(self.values, self.views, quality), self.report.volume.space
        masks = {name: np.asarray(mask, bool) for name, mask in self.arrays.masks().items()}
        return {
            "views": {one.view.name: view_payload(one, self.values.shape, self.report.volume.space, quality.heat_edge) for one in planes},
            **self._image(0, quality),
            "further": [{**self.greys[number].payload(), **self._image(number, quality)} for number in range(1, len(self.images))],
            "outlines": {name: {one.view.name: outlines_of(mask, one.view, one.places) for one in planes} for name, mask in masks.items()},
            "heat": [self._heat(place, planes, quality) for place in range(len(self.shown))],
            "prior": None if self.prior is None or space is None else prior_data(self.prior, space, self.levels, quality),
        }

    def left_out(self, quality: Quality) -> list[Said]:
        """Return what a quality leaves out of this study, in words."""
        own, others = steps_of(self.values.shape, quality)
        maps = max(heat_steps(self.views[0], self.values.shape, quality.heat_edge)) if self.shown else 1
        return quality.said(own[1], (others[1] if len(self.views) > 1 else 1, maps))

    def _fine_places(self, quality: Quality, plane: Drawn) -> list[int]:
        if quality.fine_reach is None or plane.steps[1] == 1:
            return []
        return joined(near(one.finding.key_slice, quality.fine_reach, len(plane.places)) for one in self.shown)

    def _image(self, number: int, quality: Quality) -> dict[str, Any]:
        """Return the slices of an image in every plane, and those that are held in full resolution."""
        planes, levels = drawn_planes(self.images[number], self.views, quality), self.greys[number].levels
        fine = self._fine_places(quality, planes[0])
        return {
            "pictures": {one.view.name: [one.picture(at, levels, quality.loss) for at in range(len(one.places))] for one in planes},
            "fine": {planes[0].view.name: {str(place): self._fine(number, place, quality) for place in fine}},
        }

    def _fine(self, number: int, place: int, quality: Quality) -> str:
        return data_uri(self.greys[number].levels.encode(self.images[number][place]), quality.loss)

    def _heat(self, place: int, planes: Sequence[Drawn], quality: Quality) -> dict[str, Any]:
        outside = self.shown[place].finding.outside
        points = [self.centres[place], *([] if outside is None else [(outside.slice_index, outside.row, outside.column)])]
        return heat_of(self.maps[place], planes, quality, points)


def view_payload(plane: Drawn, shape: Sequence[int], space: Geometry | None, heat_edge: int) -> dict[str, Any]:
    """Return what the scripts are told of a plane.

    Args:
        plane: as it is drawn.
        shape: slices, rows, columns.
        space: of the volume; None of a picture.
        heat_edge: longest edge of a map, pixels.
    """
    view = plane.view
    down, right = view.spacing or (1.0, 1.0)
    axis = _ALONG.get(view.name, "z")
    along = [0.0] if space is None else [space.position_lps_mm(*_on(view.axis, place, shape))["xyz".index(axis)] for place in plane.places]
    return {
        **{name: getattr(view, name) for name in ("axis", "down", "right", "flip_down", "flip_right")},
        "size": [shape[view.down], shape[view.right]],
        "aspect": [shape[view.right] * right, shape[view.down] * down],
        "marks": {edge: side.value for edge, side in view.marks.items()},
        "places": plane.places,
        "positions": [] if space is None else [f"{position:.1f}" for position in along],
        "along": axis,
        "box": list(box_of(view, shape, plane.steps)),
        "heat_box": list(box_of(view, shape, heat_steps(view, shape, heat_edge))),
    }


def script_texts() -> dict[str, dict[str, str]]:
    """Return the texts that the scripts write, by language."""
    return {language: {key: texts_of(language)[key] for key in _OF_SCRIPT} for language in LANGUAGES}


def _on(axis: int, place: int, shape: Sequence[int]) -> tuple[int, int, int]:
    """Return the voxel in the middle of a slice of a plane; of the acquired one its first row and column, as ever."""
    middle = [0, 0, 0] if axis == 0 else [size // 2 for size in shape]
    middle[axis] = place
    return middle[0], middle[1], middle[2]
