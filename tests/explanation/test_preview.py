from __future__ import annotations

import torch

from medkd.explanation.preview import render_preview


def test_a_preview_says_what_failed_on_the_map():
    values, mask = torch.rand(3, 20, 24), torch.zeros(3, 20, 24, dtype=torch.uint8)
    mask[1, 4:9, 5:11] = 1
    plain = render_preview(values, mask, {"m": values - 0.5}, 1, title="t")
    marked = render_preview(values, mask, {"m": values - 0.5}, 1, title="t", failed=["randomisation"])
    assert plain[:4] == b"\x89PNG"
    assert plain != marked
    assert plain == render_preview(values, mask, {"m": values - 0.5}, 1, title="t")
