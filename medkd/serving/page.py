"""A page about what a served model found in one series: pictures of the findings, figures, caveats; one file, no network."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader
from numpy.typing import NDArray

from data_contracts import Caveat, VolumeRef
from medkd.pictures.colours import blend, grey, heat, png
from medkd.serving.study import StudyAnswer

#: Findings that have a picture each, and the percentiles that its grey scale spans.
MOST_PICTURES, PERCENTILES = 20, (1.0, 99.0)
_OUTLINE = np.array((255, 210, 63), dtype=np.uint8)


@dataclass(frozen=True)
class PageFinding:
    """A finding of the table and the page.

    Attributes:
        class_name: what was found.
        key_slice: slice that shows it best; None of an answer about a volume as a whole.
        columns: its figures, as columns of the table.
        mask: uint8 [slice, row, column] of a lesion; None of an answer.
        map_index: class whose map explains it.
    """

    class_name: str
    key_slice: int | None
    columns: Mapping[str, Any]
    mask: NDArray[np.uint8] | None
    map_index: int


def render_page(
    values: NDArray[np.float32],
    answer: StudyAnswer,
    findings: tuple[PageFinding, ...],
    volume: VolumeRef,
    name: str,
    caveats: tuple[Caveat, ...],
) -> str:
    """Return the page, the same bytes for the same answer.

    Args:
        values: voxels [slice, row, column].
        answer: labels and maps on the same voxels.
        findings: in the order of the table.
        volume: record of the volume: modality, geometry.
        name: of the model.
        caveats: in what the study is not what the model was trained on, the gravest first.
    """
    low, high = (float(value) for value in np.percentile(values, PERCENTILES))
    window = (low, high if high > low else low + 1.0)
    rows = [
        {"number": place, "columns": one.columns, "class_name": one.class_name, "pictures": _pictures(values, window, answer, one)}
        for place, one in enumerate(findings, 1)
    ]
    for row in rows[MOST_PICTURES:]:
        row["pictures"] = ()
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, trim_blocks=True)
    ranked = sorted(caveats, key=lambda caveat: -caveat.severity)
    return environment.get_template("served.html").render(rows=rows, volume=volume, name=name, caveats=ranked, most=MOST_PICTURES)


def _pictures(
    values: NDArray[np.float32], window: tuple[float, float], answer: StudyAnswer, finding: PageFinding
) -> tuple[tuple[str, str], ...]:
    """Return (caption, data URI) of the finding's key slice with its outline, and of the class map over it where there is one."""
    place = len(values) // 2 if finding.key_slice is None else finding.key_slice
    base = grey(values[place], window)
    marked = np.repeat(base[..., None], 3, axis=-1)
    if finding.mask is not None:
        inside = np.pad(finding.mask[place] > 0, 1)
        middle = inside[1:-1, 1:-1]
        # Marked voxels with a neighbour that is not: drawn on the voxels themselves, so nothing is interpolated.
        edge = middle & ~(inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:])
        marked[edge] = _OUTLINE
    shown = [(f"slice {place + 1} of {len(values)}", marked)]
    attribution = answer.maps.get(finding.map_index)
    if attribution is not None:
        limit = float(np.percentile(np.abs(attribution), 99.5)) or float(np.abs(attribution).max())
        shown.append(("class map: orange speaks for it, blue against", blend(base, heat(attribution[place], limit))))
    return tuple((caption, "data:image/png;base64," + base64.b64encode(png(pixels)).decode()) for caption, pixels in shown)
