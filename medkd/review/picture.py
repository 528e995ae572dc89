"""One picture of a study: key slice with contours, then student's, teacher's and their difference map."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from data_contracts import BANNER, LesionFinding, ReviewReport
from medkd.explanation.standing import standing_of
from medkd.explanation.wording import failed_mark
from medkd.pictures.colours import NEGATIVE, POSITIVE, REFERENCE, STUDENT, TEACHER, blend, grey, heat
from medkd.pictures.draw import outline, write_over
from medkd.review.shown import StudyArrays, shown_in

_ZOOM, _GAP, _TOP, _BOTTOM = 5, 14, 62, 58


def render_picture(report: ReviewReport, arrays: StudyArrays) -> bytes:
    """Return a PNG for the first finding and its first explainer (the middle slice alone where nothing was found)."""
    first = next(iter(shown_in(report)), None)
    place = first.finding.key_slice if first else report.volume.geometry.shape[0] // 2
    base = grey(arrays.volume[place], report.window)
    panels = [("key slice", np.repeat(base[..., None], 3, axis=2))]
    limit, failed = 0.0, ""
    if first is not None:
        name = first.explainers[0]
        failed = failed_mark(first.explanation.failed_checks(name), first.explanation.structures)
        maps = {role: arrays.explained[first.place][one.tensor][place] for role, one in first.by(name).items()}
        limit = float(max(np.abs(plane).max() for plane in maps.values()))
        panels += [(f"{role}, {name}", blend(base, heat(plane, limit, failed=bool(failed)))) for role, plane in maps.items()]
        if len(maps) == 2:
            panels += [("student - teacher", blend(base, heat(maps["student"] - maps["teacher"], limit, failed=bool(failed))))]
    alone = first is not None and isinstance(first.finding, LesionFinding) and standing_of(first.finding) == "student only"
    return _sheet(report, arrays, place, panels, limit, ("only the student marks this" if alone else "", failed))


def _sheet(
    report: ReviewReport,
    arrays: StudyArrays,
    place: int,
    panels: list[tuple[str, NDArray[np.uint8]]],
    limit: float,
    marks: tuple[str, str],
) -> bytes:
    """Return the sheet; ``marks`` are written over the key slice and over every map."""
    rows, columns = arrays.volume.shape[1:]
    # Pictures are larger than most slices: what is drawn of one is about a thousand pixels wide.
    zoom = _ZOOM if report.volume.picture is None else max(1, min(_ZOOM, 1024 // max(rows, columns)))
    width = max(_GAP + len(panels) * (columns * zoom + _GAP), 700)
    sheet = Image.new("RGB", (width, _TOP + rows * zoom + _BOTTOM), (17, 20, 24))
    draw, font, small = ImageDraw.Draw(sheet), ImageFont.load_default(15), ImageFont.load_default(13)
    masks = arrays.masks()
    draw.text((_GAP, 8), BANNER, fill=(255, 176, 59), font=font)
    for index, (title, pixels) in enumerate(panels):
        left = _GAP + index * (columns * zoom + _GAP)
        draw.text((left, 36), title, fill=(226, 230, 235), font=font)
        sheet.paste(Image.fromarray(pixels).resize((columns * zoom, rows * zoom), Image.Resampling.NEAREST), (left, _TOP))
        for name, colour in (("reference", REFERENCE), ("teacher", TEACHER), ("student", STUDENT)):
            if name in masks and (index == 0 or name == "student"):
                outline(draw, masks[name][place], (left, _TOP), colour, zoom=zoom)
        write_over(draw, marks[min(index, 1)], (left, _TOP), columns * zoom)
    below = _TOP + rows * zoom + 10
    draw.text((_GAP, below), "contours: student yellow, teacher cyan, reference green", fill=(170, 178, 188), font=small)
    where = f"study {report.volume.study_key}, slice {place + 1} of {report.volume.geometry.shape[0]}"
    draw.text((_GAP, below + 20), where, fill=(170, 178, 188), font=small)
    if limit > 0:
        _colour_bar(draw, (width - 330, below + 4), limit, small)
    stream = io.BytesIO()
    sheet.save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def _colour_bar(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], limit: float, font: ImageFont.ImageFont | ImageFont.FreeTypeFont
) -> None:
    left, top = corner
    for x in range(200):
        share = (x - 100) / 100
        colour = POSITIVE if share > 0 else NEGATIVE
        weight = abs(share) ** 0.7
        draw.line([(left + 50 + x, top), (left + 50 + x, top + 14)], fill=tuple(round(40 + (part - 40) * weight) for part in colour))
    draw.text((left, top + 18), f"{-limit:.3g}", fill=(170, 178, 188), font=font)
    draw.text((left + 255, top), f"{limit:.3g}", fill=(170, 178, 188), font=font)
    draw.text((left + 96, top + 18), "attribution, logit", fill=(170, 178, 188), font=font)
