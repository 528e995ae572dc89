"""The sheet of an audit's examples: one case as it is, with each artefact, with the control, and the class map over the artefact."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from data_contracts import BANNER, ArtefactEffect, ShortcutVerdict
from medkd.audit.audit_model import Audit, Example

_COLUMNS = ("as it is", "with the artefact", "with the control", "class map")
_COLOURS = {ShortcutVerdict.FOLLOWS: "#b2182b", ShortcutVerdict.SILENT: "#1b7837", ShortcutVerdict.UNDETERMINED: "#555555"}
#: Blocks of four pictures that stand beside one another.
_BLOCKS = 2


def draw_audit(audit: Audit) -> bytes:
    """Return a PNG with a row per artefact, two rows beside one another; volumes are shown by the slice that changed most."""
    effects = {one.name: one for one in audit.report.artefacts}
    rows = -(-len(audit.examples) // _BLOCKS)
    sheet = Figure(figsize=(2.6 + 6.4 * _BLOCKS, 1.75 * rows + 0.7), dpi=90)
    axes = sheet.subplots(rows, len(_COLUMNS) * _BLOCKS, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for number, example in enumerate(audit.examples):
        block, row = divmod(number, rows)
        _row(list(axes[row, block * len(_COLUMNS) : (block + 1) * len(_COLUMNS)]), example, effects[example.name])
    model = audit.report.model
    sheet.suptitle(
        f"{model.name} {model.version}: what is put in and taken out ({audit.report.folder}, {audit.report.n} patients)", fontsize=10
    )
    sheet.text(0.5, 0.004, BANNER, ha="center", fontsize=7, color="0.4")
    sheet.set_layout_engine("constrained", rect=(0, 0.02, 1, 0.98))
    stream = io.BytesIO()
    FigureCanvasAgg(sheet).print_png(stream, metadata={"Software": "medkd"})
    return stream.getvalue()


def _row(axes: list[Axes], example: Example, effect: ArtefactEffect) -> None:
    place = _slice(example)
    low, high = example.value_range
    for axis, title, image in zip(axes, _COLUMNS, (example.before, example.after, example.control, example.after), strict=True):
        shown = "without the marks" if effect.kind == "removal" and title == _COLUMNS[1] else title
        axis.set_title(shown, fontsize=6, pad=2, color="0.4")
        if title != _COLUMNS[-1] or example.heat is not None:
            axis.imshow(image.numpy()[place], cmap="gray", vmin=low, vmax=high)
    if example.heat is not None:
        heat = example.heat.numpy()[place]
        axes[-1].imshow(heat, cmap="inferno", alpha=0.6, vmin=0, vmax=max(float(heat.max()), 1e-9))
    said = f"{effect.name}\n{effect.verdict.value}\n{effect.effect.mean:+.3f} [{effect.effect.low:+.3f}, {effect.effect.high:+.3f}]"
    # Left of the pictures: the row is read from there.
    axes[0].text(-0.06, 0.5, said, transform=axes[0].transAxes, ha="right", va="center", fontsize=7, color=_COLOURS[effect.verdict])


def _slice(example: Example) -> tuple[int | slice, ...]:
    """Return what is shown of an image: all of a picture, of a volume the slice that the artefact changes most."""
    if example.before.ndim == 2:
        return (slice(None),)
    changed: NDArray[np.float32] = _difference(example.after, example.before)
    return (int(changed.sum((1, 2)).argmax()),)


def _difference(first: Tensor, second: Tensor) -> NDArray[np.float32]:
    found: NDArray[np.float32] = (first - second).abs().numpy()
    return found
