from __future__ import annotations

import io

import numpy as np
from PIL import Image

from medkd.explanation.preview import render_preview


def test_a_preview_says_what_failed_on_the_map():
    values, mask = np.random.default_rng(0).random((3, 20, 24), dtype=np.float32), np.zeros((3, 20, 24), np.uint8)
    mask[1, 4:9, 5:11] = 1
    plain = render_preview(values, mask, {"m": values - 0.5}, 1, title="t")
    marked = render_preview(values, mask, {"m": values - 0.5}, 1, title="t", failed=["randomisation"])
    assert plain[:4] == b"\x89PNG"
    assert plain != marked
    assert plain == render_preview(values, mask, {"m": values - 0.5}, 1, title="t")


def test_panels_stand_side_by_side_and_small_slices_are_enlarged():
    values, mask = np.random.default_rng(0).random((3, 20, 24), dtype=np.float32), np.zeros((3, 20, 24), np.uint8)

    def size(**maps):
        return Image.open(io.BytesIO(render_preview(values, mask, maps, 1, title="t"))).size

    one, two = size(student=values), size(student=values, teacher=values)
    assert two[0] > one[0]
    assert two[1] == one[1] > 20 * 10


def test_a_flat_slice_and_a_map_of_zeros_are_drawn_too():
    flat = np.zeros((2, 8, 8), np.float32)
    assert render_preview(flat, flat.astype(np.uint8), {"student": flat}, 0, title="t").startswith(b"\x89PNG")
