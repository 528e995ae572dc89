"""One picture of a study: key slice with contours, then student's, teacher's and their difference map."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from data_contracts import LesionFinding, ReviewReport
from medkd.explanation.standing import standing_of
from medkd.explanation.wording import failed_mark
from medkd.pictures.colours import NEGATIVE, POSITIVE, REFERENCE, STUDENT, TEACHER, blend, grey, heat
from medkd.pictures.draw import outline, write_over
from medkd.review.fonts import chinese_font
from medkd.review.shown import StudyArrays, shown_in
from medkd.review.texts import Text, recognise, say, text_of

_ZOOM, _GAP, _TOP, _BOTTOM = 5, 14, 62, 58


def render_picture(report: ReviewReport, arrays: StudyArrays, language: str = "en") -> bytes:
    """Return a PNG for the first finding and its first explainer (the middle slice alone where nothing was found).

    Args:
        report: what is shown.
        arrays: the study's, and those of the report's explanations.
        language: of what is written; ``zh`` takes a font of this machine, so that its bytes are the same on machines with the same font alone.

    Raises:
        MissingDependencyError: ``CHINESE_FONT_MISSING``.
    """
    first = next(iter(shown_in(report)), None)
    place = first.finding.key_slice if first else report.volume.geometry.shape[0] // 2
    base = grey(arrays.volume[place], report.window)
    write = _Writer(language)
    panels = [(write.words(say("picture.key_slice")), np.repeat(base[..., None], 3, axis=2))]
    limit, failed = 0.0, ""
    if first is not None:
        name = first.explainers[0]
        failed = failed_mark(first.explanation.failed_checks(name), first.explanation.structures)
        # What is no number is drawn as nothing.
        maps = {role: np.nan_to_num(arrays.explained[first.place][one.tensor][place]) for role, one in first.by(name).items()}
        limit = float(max(np.abs(plane).max() for plane in maps.values()))
        titled = {say(f"pane.{role}"): plane for role, plane in maps.items()}
        if len(maps) == 2:
            titled[say("pane.difference")] = maps["student"] - maps["teacher"]
        for title, plane in titled.items():
            panels.append((f"{write.words(title)}, {name}", blend(base, heat(plane, limit, failed=bool(failed)))))
    alone = first is not None and isinstance(first.finding, LesionFinding) and standing_of(first.finding) == "student only"
    marks = (write.words(say("picture.alone")) if alone else "", write.words(recognise(failed)))
    return _sheet(report, arrays, (place, limit), panels, marks, write)


class _Writer:
    """Words and fonts of a language."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._file = chinese_font() if language == "zh" else None

    def words(self, said: Text) -> str:
        """Return a text in the language."""
        return text_of(said, self.language)

    def font(self, size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
        """Return the font of a size in pixels."""
        return ImageFont.load_default(size) if self._file is None else ImageFont.truetype(self._file, size)


def _sheet(
    report: ReviewReport,
    arrays: StudyArrays,
    shown: tuple[int, float],
    panels: list[tuple[str, NDArray[np.uint8]]],
    marks: tuple[str, str],
    write: _Writer,
) -> bytes:
    """Return the sheet; ``shown`` is the slice and the limit of the scale, ``marks`` are written over the key slice and over every map."""
    (place, limit), (rows, columns) = shown, arrays.volume.shape[1:]
    # Pictures are larger than most slices: what is drawn of one is about a thousand pixels wide.
    zoom = _ZOOM if report.volume.picture is None else max(1, min(_ZOOM, 1024 // max(rows, columns)))
    width = max(_GAP + len(panels) * (columns * zoom + _GAP), 700)
    sheet = Image.new("RGB", (width, _TOP + rows * zoom + _BOTTOM), (17, 20, 24))
    draw, font, masks = ImageDraw.Draw(sheet), write.font(15), arrays.masks()
    draw.text((_GAP, 8), write.words(say("banner")), fill=(255, 176, 59), font=font)
    for index, (title, pixels) in enumerate(panels):
        left = _GAP + index * (columns * zoom + _GAP)
        draw.text((left, 36), title, fill=(226, 230, 235), font=font)
        sheet.paste(Image.fromarray(pixels).resize((columns * zoom, rows * zoom), Image.Resampling.NEAREST), (left, _TOP))
        for name, colour in (("reference", REFERENCE), ("teacher", TEACHER), ("student", STUDENT)):
            if name in masks and (index == 0 or name == "student"):
                outline(draw, masks[name][place], (left, _TOP), colour, zoom=zoom)
        write_over(draw, marks[min(index, 1)], (left, _TOP), columns * zoom, write.font)
    _below(draw, report, (_GAP, _TOP + rows * zoom + 10), place, write)
    if limit > 0:
        _colour_bar(draw, (width - 330, _TOP + rows * zoom + 14), limit, write)
    stream = io.BytesIO()
    sheet.save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def _below(draw: ImageDraw.ImageDraw, report: ReviewReport, corner: tuple[int, int], place: int, write: _Writer) -> None:
    """Write what the lines are, and which slice of which study is shown."""
    where = say("picture.where", study=report.volume.study_key, slice=place + 1, count=report.volume.geometry.shape[0])
    for line, said in enumerate((say("picture.contours"), where)):
        draw.text((corner[0], corner[1] + 20 * line), write.words(said), fill=(170, 178, 188), font=write.font(13))


def _colour_bar(draw: ImageDraw.ImageDraw, corner: tuple[int, int], limit: float, write: _Writer) -> None:
    left, top = corner
    for x in range(200):
        share = (x - 100) / 100
        colour = POSITIVE if share > 0 else NEGATIVE
        weight = abs(share) ** 0.7
        draw.line([(left + 50 + x, top), (left + 50 + x, top + 14)], fill=tuple(round(40 + (part - 40) * weight) for part in colour))
    for text, place in ((f"{-limit:.3g}", (0, 18)), (f"{limit:.3g}", (255, 0)), (write.words(say("picture.scale")), (96, 18))):
        draw.text((left + place[0], top + place[1]), text, fill=(170, 178, 188), font=write.font(13))
