"""The reliability diagram of a network before and after calibration, as one picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from data_contracts import BANNER, Estimate, ReliabilityBin
from medkd.pictures.colours import png

#: Pixels of a plot's side, of the bars of counts below it, and of what stands round both.
_SIDE, _BARS, _MARGIN, _TOP, _GAP = 320, 70, 62, 64, 14
_INK, _GRID, _BEFORE, _AFTER = (40, 40, 40), (225, 225, 225), (214, 96, 20), (33, 102, 172)
Panel = tuple[str, Estimate, Sequence[ReliabilityBin]]


def draw_reliability(subject: str, before: Panel, after: Panel, *, unit: str) -> bytes:
    """Return a PNG of two diagrams side by side: accuracy against confidence, and how many predictions lie at each confidence.

    Args:
        subject: whose probabilities these are.
        before: title, expected calibration error and bins without calibration.
        after: the same with it.
        unit: what is counted.
    """
    width = 2 * (_MARGIN + _SIDE) + _MARGIN // 2
    height = _TOP + _SIDE + _GAP + _BARS + _MARGIN + 16
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    draw.text((_MARGIN, 8), subject, fill=_INK, font=ImageFont.load_default(14))
    for place, (panel, colour) in enumerate(((before, _BEFORE), (after, _AFTER))):
        _draw_panel(draw, _MARGIN + place * (_SIDE + _MARGIN), panel, colour, unit)
    draw.text((width / 2, height - 12), BANNER, fill=(120, 120, 120), font=ImageFont.load_default(10), anchor="mm")
    return png(np.asarray(image))


def _draw_panel(draw: ImageDraw.ImageDraw, left: int, panel: Panel, colour: tuple[int, int, int], unit: str) -> None:
    title, ece, bins = panel
    small, bottom = ImageFont.load_default(11), _TOP + _SIDE
    draw.text((left, _TOP - 34), title, fill=colour, font=ImageFont.load_default(13))
    draw.text((left, _TOP - 17), f"ECE {ece.mean:.3f} [{ece.low:.3f}, {ece.high:.3f}], {ece.n} patients", fill=_INK, font=small)
    for step in range(6):
        share, offset = step / 5, _SIDE * step // 5
        draw.line([(left, bottom - offset), (left + _SIDE, bottom - offset)], fill=_GRID)
        draw.line([(left + offset, _TOP), (left + offset, bottom)], fill=_GRID)
        draw.text((left - 6, bottom - offset), f"{share:.1f}", fill=_INK, font=small, anchor="rm")
        draw.text((left + offset, bottom + _GAP + _BARS + 10), f"{share:.1f}", fill=_INK, font=small, anchor="mm")
    draw.rectangle([left, _TOP, left + _SIDE, bottom], outline=_INK)
    draw.line([(left, bottom), (left + _SIDE, _TOP)], fill=(150, 150, 150), width=1)
    points = [(left + one.confidence * _SIDE, bottom - one.accuracy * _SIDE) for one in bins]
    draw.line(points, fill=colour, width=2)
    for x, y in points:
        draw.ellipse([x - 4, y - 4, x + 4, y + 4], fill=colour)
    floor, most = bottom + _GAP + _BARS, max((one.count for one in bins), default=1)
    for one in bins:
        x = left + one.confidence * _SIDE
        draw.rectangle([x - 5, floor - max(1, _BARS * one.count / most), x + 5, floor], fill=colour)
    draw.text((left, bottom + _GAP), f"{unit}, at most {most} in a bin", fill=_INK, font=small, anchor="lm")
    draw.text((left + _SIDE / 2, floor + 26), "confidence of the predicted class", fill=_INK, font=small, anchor="mm")
    draw.text((left + 6, _TOP + 5), "accuracy", fill=_INK, font=small)
