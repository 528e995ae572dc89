"""Marks that are found on medical pictures, drawn as they look: none of them says anything of the patient."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from PIL import ImageDraw, ImageFont

from medkd.audit.canvas import Box, Canvas, Layer, paint

Draw = ImageDraw.ImageDraw
Mark = Callable[[Canvas], Layer]
_WHITE = 255
_TEXTS = ("10 MHz  D 4.5", "BREAST 2H")


def _font(size: float) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(max(8.0, size))


def text(canvas: Canvas) -> Layer:
    """Return two lines of burned-in text in a free corner, below first."""
    font = _font(7 * canvas.unit)
    width = max(font.getbbox(line)[2] for line in _TEXTS)
    top, left = canvas.free_corner(17 * canvas.unit, width, ("bottom right", "bottom left", "top right", "top left"))

    def painter(opacity: Draw, _: Draw) -> None:
        for number, line in enumerate(_TEXTS):
            opacity.text((left, top + number * 8.5 * canvas.unit), line, fill=_WHITE, font=font)

    return paint(canvas, painter)


def calipers(canvas: Canvas) -> Layer:
    """Return four crosses just outside the ends of the lesion, as sonographers set them."""
    box, unit = canvas.lesion_box(), canvas.unit
    middle_row, middle_column, away = (box.top + box.bottom) / 2, (box.left + box.right) / 2, 6 * unit
    upright = ((box.top - away, middle_column), (box.bottom + away, middle_column))
    ends = (*upright, (middle_row, box.left - away), (middle_row, box.right + away))

    def painter(opacity: Draw, _: Draw) -> None:
        for row, column in ends:
            _cross(opacity, row, column, unit)

    return paint(canvas, painter)


def measuring_line(canvas: Canvas) -> Layer:
    """Return a dotted line between two crosses, away from the lesion."""
    unit = canvas.unit
    top, left = canvas.free_corner(12 * unit, 45 * unit, ("bottom left", "top right", "bottom right", "top left"))

    def painter(opacity: Draw, _: Draw) -> None:
        for step in range(1, 15):
            row, column = top + 3 * unit + 0.45 * step * unit, left + (3 + 2.6 * step) * unit
            opacity.ellipse((column - 0.6 * unit, row - 0.6 * unit, column + 0.6 * unit, row + 0.6 * unit), fill=_WHITE)
        _cross(opacity, top + 3 * unit, left + 3 * unit, unit)
        _cross(opacity, top + 9.5 * unit, left + 42 * unit, unit)

    return paint(canvas, painter)


def _cross(draw: Draw, row: float, column: float, unit: float) -> None:
    arm, half = 3 * unit, 0.5 * unit
    draw.rectangle((column - arm, row - half, column + arm, row + half), fill=_WHITE)
    draw.rectangle((column - half, row - arm, column + half, row + arm), fill=_WHITE)


def frame(canvas: Canvas) -> Layer:
    """Return a bright frame along the border of the picture."""
    box, width = canvas.inner, max(1, round(1.5 * canvas.unit))

    def painter(opacity: Draw, _: Draw) -> None:
        opacity.rectangle((box.left, box.top, box.right - 1, box.bottom - 1), outline=_WHITE, width=width)

    return paint(canvas, painter)


def laterality_left(canvas: Canvas) -> Layer:
    """Return the letter L that says which side of the body it is."""
    return _letter(canvas, "L", ("top right", "top left", "bottom right", "bottom left"))


def laterality_right(canvas: Canvas) -> Layer:
    """Return the letter R."""
    return _letter(canvas, "R", ("top left", "top right", "bottom left", "bottom right"))


def _letter(canvas: Canvas, letter: str, corners: tuple[str, ...]) -> Layer:
    font = _font(13 * canvas.unit)
    _, above, width, below = font.getbbox(letter)
    top, left = canvas.free_corner(below - above, width, corners)
    # Stroked: a lead letter is bold.
    return paint(
        canvas, lambda opacity, _: opacity.text((left, top - above), letter, fill=_WHITE, font=font, stroke_width=round(canvas.unit / 2))
    )


def corner_mark(canvas: Canvas) -> Layer:
    """Return two strokes at a right angle in a corner, as wire markers and crop marks leave."""
    unit = canvas.unit
    side, stroke = 12 * unit, 3.6 * unit
    top, left = canvas.free_corner(side, side, ("top left", "top right", "bottom left", "bottom right"))

    def painter(opacity: Draw, _: Draw) -> None:
        opacity.rectangle((left, top, left + stroke, top + side), fill=_WHITE)
        opacity.rectangle((left, top + side - stroke, left + side, top + side), fill=_WHITE)

    return paint(canvas, painter)


def round_marker(canvas: Canvas) -> Layer:
    """Return a bright disc, as a metal pellet on the skin leaves."""
    size = 9 * canvas.unit
    top, left = canvas.free_corner(size, size, ("top left", "bottom right", "top right", "bottom left"))
    return paint(canvas, lambda opacity, _: opacity.ellipse((left, top, left + size, top + size), fill=_WHITE))


def grey_bar(canvas: Canvas) -> Layer:
    """Return a bar of greys, bright above, along one side."""
    unit = canvas.unit
    height, width = 45 * unit, 5 * unit
    top, left = canvas.free_corner(height, width, ("top right", "bottom right", "top left", "bottom left"))

    def painter(opacity: Draw, value: Draw) -> None:
        opacity.rectangle((left, top, left + width, top + height), fill=_WHITE)
        for row in range(round(height) + 1):
            value.line((left, top + row, left + width, top + row), fill=round(255 * (1 - row / height)))

    return paint(canvas, painter)


def ruler(canvas: Canvas) -> Layer:
    """Return ticks along one side, each fifth of them longer."""
    box, unit = canvas.inner, canvas.unit
    lesion = canvas.lesion_box()
    at_left = lesion.left - box.left >= box.right - lesion.right

    def painter(opacity: Draw, _: Draw) -> None:
        for number, row in enumerate(range(box.top + round(4 * unit), box.bottom, max(1, round(4 * unit)))):
            length = (5 if number % 5 == 0 else 2.5) * unit
            start = box.left if at_left else box.right - length
            opacity.rectangle((start, row, start + length, row + 0.7 * unit), fill=_WHITE)

    return paint(canvas, painter)


def black_box(canvas: Canvas) -> Layer:
    """Return a black rectangle, as what takes names off pictures leaves."""
    unit = canvas.unit
    height, width = 9 * unit, 38 * unit
    top, left = canvas.free_corner(height, width, ("top left", "top right", "bottom left", "bottom right"))
    covered = Box(top, left, round(top + height), round(left + width))

    def painter(opacity: Draw, value: Draw) -> None:
        for draw, fill in ((opacity, _WHITE), (value, 0)):
            draw.rectangle((covered.left, covered.top, covered.right, covered.bottom), fill=fill)

    return paint(canvas, painter)


#: What is drawn, by name.
MARKS: Mapping[str, Mark] = MappingProxyType(
    {
        "text": text,
        "calipers": calipers,
        "measuring_line": measuring_line,
        "frame": frame,
        "laterality_left": laterality_left,
        "laterality_right": laterality_right,
        "corner_mark": corner_mark,
        "round_marker": round_marker,
        "grey_bar": grey_bar,
        "ruler": ruler,
        "black_box": black_box,
    }
)
