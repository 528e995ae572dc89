"""Tables that fit a terminal of a hundred columns: one row a figure, one column a subject, as many blocks as are needed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from data_contracts import Estimate

WIDTH = 100


def table(title: str, rows: Sequence[str], columns: Mapping[str, Sequence[str]], *, width: int = WIDTH) -> str:
    """Return a table as text, its columns spread over blocks no wider than ``width`` (a single column may be wider).

    Args:
        title: above the names of the rows.
        rows: their names.
        columns: cells of each column, one per row, by its head.
        width: most characters of a line.
    """
    first = max(len(name) for name in (title, *rows))
    blocks: list[list[str]] = [[]]
    used = first
    for head, cells in columns.items():
        needed = 2 + max(len(text) for text in (head, *cells))
        # A block holds at least one column: a column wider than the screen stands alone.
        if blocks[-1] and used + needed > width:
            blocks.append([])
            used = first
        blocks[-1].append(head)
        used += needed
    return "\n\n".join(_block([title, *rows], {head: [head, *columns[head]] for head in block}) for block in blocks)


def _block(names: Sequence[str], columns: Mapping[str, Sequence[str]]) -> str:
    sides = [names, *columns.values()]
    widths = [max(len(text) for text in side) for side in sides]
    lines = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in zip(*sides, strict=True)]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def interval(figure: Estimate | None, *, signed: bool = False) -> str:
    """Return a figure with its interval, ``.850 [.808, .888]``; empty where there is none."""
    if figure is None:
        return ""
    mean, low, high = (number(value, signed=signed) for value in (figure.mean, figure.low, figure.high))
    return f"{mean} [{low}, {high}]"


def number(value: float, *, signed: bool = False) -> str:
    """Return a number with three decimals and no leading zero."""
    if math.isnan(value):
        return "nan"
    text = f"{value:+.3f}" if signed else f"{value:.3f}"
    # Only of values below 1: 10.0 has a 0. of its own.
    return text.replace("0.", ".", 1) if abs(value) < 1 and text.lstrip("+-").startswith("0.") else text
