"""Slices for paper: grey, map, outlines and letters in one picture each, as they are on the screen."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from data_contracts import ReviewReport
from medkd.pictures.colours import REFERENCE, STUDENT, TEACHER, grey, heat_png
from medkd.review.orientation_marks import View, views_of
from medkd.review.page_data import centre_of
from medkd.review.page_heat import ShownMaps, Voxel, heat_steps, shown_maps
from medkd.review.page_outlines import path_of
from medkd.review.page_pictures import data_uri, reduced_by, uri_of
from medkd.review.page_words import label_of
from medkd.review.shown import Shown, StudyArrays, shown_in
from medkd.review.texts import Said, Text, say

#: Findings that are shown on paper; the tables name all.
MOST_ON_PAPER = 6
#: Longest edge of a slice or a map on paper, pixels.
_EDGE = 512
#: Colour and dashes of each outline, in hundredths of the picture's width.
_LINES = {"reference": (REFERENCE, "0.6 0.9"), "teacher": (TEACHER, "1.6 0.9"), "student": (STUDENT, "")}


@dataclass(frozen=True)
class PaperPicture:
    """A picture on paper: what it shows, and itself as an SVG in a ``data:`` URI."""

    caption: Said
    uri: Markup


@dataclass(frozen=True)
class PaperFinding:
    """A finding on paper.

    Attributes:
        label: what it is called; None of a study in which nothing was found.
        explainer: of its maps, "" without.
        mark: what is written over maps that failed a test.
        pictures: its key slice, plain and with maps, then the two other planes through it.
    """

    label: Text | None
    explainer: str
    mark: Text
    pictures: tuple[PaperPicture, ...]


def paper_findings(report: ReviewReport, arrays: StudyArrays) -> list[PaperFinding]:
    """Return the pictures of the first findings of a report, the middle slice alone where nothing was found."""
    draw, shown = _Drawer(report, arrays), shown_in(report)[:MOST_ON_PAPER]
    if not shown:
        middle = arrays.volume.shape[0] // 2, arrays.volume.shape[1] // 2, arrays.volume.shape[2] // 2
        return [PaperFinding(None, "", "", (draw.plain(draw.views[0], middle),))]
    return [_finding(draw, one, arrays) for one in shown]


def _finding(draw: _Drawer, shown: Shown, arrays: StudyArrays) -> PaperFinding:
    point = centre_of(shown, arrays.explained[shown.place].get(f"mask/{shown.finding.number}"), arrays.volume.shape)
    maps = shown_maps(shown, arrays)
    explainer = next(iter(maps), "")
    pictures = [draw.plain(draw.views[0], point), *(draw.maps(draw.views[0], point, maps[explainer]) if maps else ())]
    pictures += [draw.plain(view, point) for view in draw.views[1:]]
    outside = shown.finding.outside
    if outside is not None and outside.explainer in maps:
        pictures.append(draw.focus((outside.slice_index, outside.row, outside.column), maps[outside.explainer]))
    return PaperFinding(label_of(shown), explainer, maps[explainer].mark if maps else "", tuple(pictures))


class _Drawer:
    """Draws slices of one study."""

    def __init__(self, report: ReviewReport, arrays: StudyArrays) -> None:
        self.report, self.values = report, np.asarray(arrays.volume, np.float32)
        self.views, self.masks = views_of(report.volume.geometry), arrays.masks()

    def plain(self, view: View, point: Voxel) -> PaperPicture:
        """Return a slice with every outline."""
        return PaperPicture(self._caption(say(f"plane.{view.name}"), view, point), self._svg(view, point, "", list(_LINES)))

    def maps(self, view: View, point: Voxel, shown: ShownMaps) -> Iterator[PaperPicture]:
        """Yield the slice with the maps of student and teacher and with their difference."""
        maps = dict(shown.maps)
        if len(maps) == 2:
            maps["difference"] = maps["student"] - maps["teacher"]
        for role, values in maps.items():
            lines = ["student", "teacher"] if role == "difference" else [role]
            picture = self._svg(view, point, self._heat(view, point, values, shown), lines)
            yield PaperPicture(self._caption(say(f"pane.{role}"), view, point), picture)

    def focus(self, point: Voxel, shown: ShownMaps) -> PaperPicture:
        """Return the slice of the largest attribution outside of everything that was found, with a circle round it."""
        view = self.views[0]
        caption = say("paper.focus", slice=point[0] + 1, count=self.values.shape[0])
        return PaperPicture(
            caption, self._svg(view, point, self._heat(view, point, shown.maps["student"], shown), ["student"], circled=True)
        )

    def _heat(self, view: View, point: Voxel, values: NDArray[np.float32], shown: ShownMaps) -> str:
        steps = heat_steps(view, self.values.shape, _EDGE)
        small = reduced_by(np.asarray(view.slice_of(values, point[view.axis]), np.float32), (steps[view.down], steps[view.right]))
        return uri_of("png", heat_png(small, shown.limit, failed=shown.failed))

    def _caption(self, name: Said, view: View, point: Voxel) -> Said:
        return say("paper.caption", name=name, slice=point[view.axis] + 1, count=self.values.shape[view.axis])

    def _svg(self, view: View, point: Voxel, heat: str, lines: Sequence[str], *, circled: bool = False) -> Markup:
        place, shape = point[view.axis], self.values.shape
        down, right = view.spacing or (1.0, 1.0)
        rows, columns = shape[view.down], shape[view.right]
        width, height = 100.0, 100.0 * rows * down / (columns * right)
        steps = heat_steps(view, shape, _EDGE)
        pixels = grey(reduced_by(np.asarray(view.slice_of(self.values, place)), (steps[view.down], steps[view.right])), self.report.window)
        over = f'<image href="{heat}" width="{width}" height="{height:.3f}" preserveAspectRatio="none"/>' if heat else ""
        masks = [(name, view.slice_of(self.masks[name], place)) for name in lines if name in self.masks]
        paths = "".join(_line(name, path_of(mask), (width / columns, height / rows)) for name, mask in masks)
        x, y = (point[view.right] + 0.5) * width / columns, (point[view.down] + 0.5) * height / rows
        circle = f'<circle cx="{x:.2f}" cy="{y:.2f}" r="4" fill="none" stroke="#fff" stroke-width="0.6"/>' if circled else ""
        svg = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.3f}">'
            f'<image href="{data_uri(pixels)}" width="{width}" height="{height:.3f}" preserveAspectRatio="none"/>'
            f"{over}{paths}{circle}{_letters(view, width, height)}</svg>"
        )
        return Markup("data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode())


def _line(name: str, path: str, scale: tuple[float, float]) -> str:
    """Return an outline; its width and dashes are the same in every picture, whatever its pixels are."""
    colour, dashes = _LINES[name]
    factor = 1 / scale[0]
    dashed = " ".join(f"{float(one) * factor:.3f}" for one in dashes.split())
    style = f' stroke-dasharray="{dashed}"' if dashed else ""
    return f'<path transform="scale({scale[0]:.6f} {scale[1]:.6f})" d="{path}" fill="none" stroke="{colour}" stroke-width="{0.5 * factor:.3f}"{style}/>'


def _letters(view: View, width: float, height: float) -> str:
    places = {"left": (3.5, height / 2), "right": (width - 3.5, height / 2), "top": (width / 2, 5.5), "bottom": (width / 2, height - 1.5)}
    return "".join(
        f'<text x="{x:.2f}" y="{y:.2f}" font-size="5" font-family="sans-serif" text-anchor="middle" fill="#fff">{view.marks[edge].value}</text>'
        for edge, (x, y) in places.items()
        if edge in view.marks
    )
