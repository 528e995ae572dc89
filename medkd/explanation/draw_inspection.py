"""An inspection as one picture: layers beside layers, feature visualisation of each class, the smallest change that flips an answer."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from data_contracts import BANNER
from medkd.attribution.layer_trace import LayerTrace


def draw_inspection(traced: LayerTrace, arrays: Mapping[str, Tensor], classes: tuple[str, ...]) -> bytes:
    """Return a PNG.

    Args:
        traced: layers of student and teacher.
        arrays: as :class:`data_contracts.Inspection` names them.
        classes: of the task.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Sheet

    visualisations = [(name, arrays[f"feature_visualisation/{name}"]) for name in classes if f"feature_visualisation/{name}" in arrays]
    cases = len(arrays["image"])
    columns = max(2 + len(visualisations) + 1, 5)
    sheet = Sheet(figsize=(2.6 * columns, 2.9 * (1 + cases)), layout="constrained")
    FigureCanvasAgg(sheet)
    grid = sheet.add_gridspec(1 + cases, columns)
    _layers(sheet, grid[0, :2], traced)
    for column, (name, image) in enumerate(visualisations, 2):
        _image(sheet.add_subplot(grid[0, column]), _slice(image[0, 0]), f"what '{name}'\nscores highest")
    _plane(sheet, grid[0, columns - 1], arrays)
    for row in range(cases):
        image = arrays["image"][row, 0]
        place = _key(arrays["change/student"][row, 0])
        _image(sheet.add_subplot(grid[1 + row, 0]), _slice(image, place), f"case {row + 1}")
        for column, role in enumerate(("student", "teacher"), 1):
            change = arrays[f"change/{role}"][row, 0]
            _change(sheet, grid[1 + row, 2 * column - 1], _slice(change, place), f"the smallest change\nthat flips the {role}")
            _image(sheet.add_subplot(grid[1 + row, 2 * column]), _slice(image + change, place), f"flipped for the {role}")
    sheet.supxlabel(f"changes in units of the network's input, whose window is 2 wide. {BANNER}", fontsize=8)
    stream = io.BytesIO()
    sheet.savefig(stream, format="png", dpi=90, metadata={"Software": ""})
    return stream.getvalue()


def _layers(sheet: Any, place: Any, traced: LayerTrace) -> None:
    axes = sheet.add_subplot(place)
    shown = axes.imshow(traced.similarity.numpy(), vmin=0, vmax=1, cmap="viridis", aspect="auto")
    axes.set_xticks(range(len(traced.teacher_layers)), traced.teacher_layers, rotation=60, ha="right", fontsize=7)
    axes.set_yticks(range(len(traced.layers)), traced.layers, fontsize=7)
    axes.set_xlabel("teacher", fontsize=8)
    axes.set_ylabel("student", fontsize=8)
    axes.set_title("similarity of layers (linear CKA)", fontsize=9)
    sheet.colorbar(shown, ax=axes, fraction=0.05)


def _plane(sheet: Any, place: Any, arrays: Mapping[str, Tensor]) -> None:
    """Draw where the score of the first case is zero on the plane of steepest descent and a drawn direction."""
    axes = sheet.add_subplot(place)
    for role, colour in (("student", "#d66014"), ("teacher", "#1f6f8b")):
        scores, offsets = arrays[f"plane/{role}"][0].numpy(), arrays[f"offsets/{role}"][0].numpy()
        if scores.min() < 0 < scores.max():
            axes.contour(offsets, offsets, scores.T, levels=[0.0], colors=[colour])
        axes.plot([], [], color=colour, label=role)
    axes.plot(0, 0, "k+")
    axes.set_xlabel("along the gradient", fontsize=7)
    axes.set_ylabel("along a drawn direction", fontsize=7)
    axes.tick_params(labelsize=6)
    axes.legend(fontsize=7)
    axes.set_title("where the answer to\ncase 1 flips", fontsize=9)


def _image(axes: Any, pixels: NDArray[np.float32], title: str) -> None:
    axes.imshow(pixels, cmap="gray", vmin=-1, vmax=1)
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()


def _change(sheet: Any, place: Any, pixels: NDArray[np.float32], title: str) -> None:
    axes = sheet.add_subplot(place)
    limit = float(np.abs(pixels).max()) or 1.0
    shown = axes.imshow(pixels, cmap="PuOr_r", vmin=-limit, vmax=limit)
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()
    bar = sheet.colorbar(shown, ax=axes, fraction=0.05)
    bar.ax.tick_params(labelsize=6)


def _key(change: Tensor) -> int:
    """Return the slice of a volume that changes most; 0 of a picture."""
    return int(change.square().sum((1, 2)).argmax()) if change.ndim == 3 else 0


def _slice(values: Tensor, place: int | None = None) -> NDArray[np.float32]:
    """Return a picture as it is, of a volume one slice (the middle one by default)."""
    if values.ndim == 2:
        return values.float().numpy()
    return values[len(values) // 2 if place is None else place].float().numpy()
