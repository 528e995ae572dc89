"""One lesion and one explainer as a picture: its key slice, the student's map, the teacher's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from data_contracts import BANNER
from medkd.explanation.wording import COLOURS_IN_WORDS, failed_mark
from medkd.pictures.colours import STUDENT, blend, grey, heat, png
from medkd.pictures.draw import outline, write_over

#: Pictures that an artefact holds.
MOST_PREVIEWS = 20
_LONGEST, _GAP, _TOP, _BOTTOM = 320, 12, 58, 34


def render_preview(
    volume: NDArray[Any], mask: NDArray[Any], maps: Mapping[str, NDArray[Any]], place: int, *, title: str, failed: Sequence[str] = ()
) -> bytes:
    """Return a PNG.

    Args:
        volume: [slice, row, column].
        mask: of the lesion.
        maps: by role, on the same voxels.
        place: slice that is shown.
        title: what is shown.
        failed: tests that the explainer failed here.
    """
    window = tuple(float(v) for v in np.percentile(volume.astype(np.float32), (1.0, 99.0)))
    base = grey(volume[place].astype(np.float32), (window[0], max(window[1], window[0] + 1e-6)))
    limit = max((float(np.abs(one[place]).max()) for one in maps.values()), default=0.0)
    panels: list[tuple[str, NDArray[np.uint8]]] = [("image", np.repeat(base[..., None], 3, axis=2))]
    panels += [(role, blend(base, heat(one[place], limit, failed=bool(failed)))) for role, one in maps.items()]
    note = failed_mark(failed)
    zoom = max(1, _LONGEST // max(base.shape))
    rows, columns = base.shape[0] * zoom, base.shape[1] * zoom
    sheet = Image.new("RGB", (max(_GAP + len(panels) * (columns + _GAP), 640), _TOP + rows + _BOTTOM), (17, 20, 24))
    draw, font, small = ImageDraw.Draw(sheet), ImageFont.load_default(14), ImageFont.load_default(12)
    draw.text((_GAP, 6), BANNER, fill=(255, 176, 59), font=small)
    draw.text((_GAP, 22), title, fill=(226, 230, 235), font=font)
    for index, (name, pixels) in enumerate(panels):
        left = _GAP + index * (columns + _GAP)
        draw.text((left, 41), name, fill=(170, 178, 188), font=small)
        sheet.paste(Image.fromarray(pixels).resize((columns, rows), Image.Resampling.NEAREST), (left, _TOP))
        outline(draw, mask[place], (left, _TOP), STUDENT, zoom=zoom)
        write_over(draw, note if index else "", (left, _TOP), columns)
    scale = f"{COLOURS_IN_WORDS}, full colour at {limit:.3g} logit"
    draw.text((_GAP, _TOP + rows + 9), f"{scale}. {note}".rstrip(". "), fill=(255, 120, 90) if note else (170, 178, 188), font=small)
    return png(np.asarray(sheet))
