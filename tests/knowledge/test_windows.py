from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from data_contracts import KnowledgeError
from medkd.knowledge.windows import Box, box_of, corners_of, half_patch, inside, over_windows, patch_of


def pointwise(image):
    """Return what depends on a voxel and its block only: windows cannot change it."""
    return {"logits": torch.cat([image, -2 * image], 1), "features/half": functional.avg_pool3d(image, 2)}


@pytest.mark.parametrize("shape", [(32, 16, 16), (50, 40, 17), (10, 16, 40)])
def test_windows_do_not_change_what_depends_on_a_voxel_alone(shape):
    volume = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))
    found = over_windows(pointwise, volume, (32, 16, 16), 0.5)
    box = box_of(shape, (32, 16, 16))
    torch.testing.assert_close(inside(found["logits"], box), torch.cat([volume, -2 * volume]), atol=1e-5, rtol=1e-5)
    padded = functional.pad(
        volume,
        [x for b, s, e in reversed(list(zip(box.begin, shape, box.extent, strict=True))) for x in (b, e - b - s)],
        value=float(volume.min()),
    )
    torch.testing.assert_close(found["features/half"], functional.avg_pool3d(padded, 2), atol=1e-5, rtol=1e-5)


def test_every_voxel_is_seen_and_windows_overlap():
    box = box_of((70, 33, 16), (32, 16, 16))
    seen = torch.zeros(box.extent)
    for corner in corners_of(box, 0.5):
        seen[tuple(slice(c, c + w) for c, w in zip(corner, box.window, strict=True))] += 1
    assert int(seen.min()) >= 1
    assert int(seen.max()) > 1


@pytest.mark.parametrize("corner", [(0, 0, 0), (6, 2, 4), (-3, 0, 1)])
def test_a_patch_is_read_where_it_lies_in_the_volume(corner):
    """A field linear in the voxel's place is read exactly, whatever the cells."""
    shape, window = (40, 20, 24), (32, 16, 16)
    box = box_of(shape, window)
    half = [torch.arange(e // 2) * 2.0 + 0.5 - b for e, b in zip(box.extent, box.begin, strict=True)]
    field = torch.stack(torch.meshgrid(*half, indexing="ij"))
    cells = (8, 8, 4)
    found = patch_of(field, box, corner, cells)
    for axis in range(3):
        wide = window[axis] / cells[axis]
        expected = corner[axis] + (torch.arange(cells[axis]) + 0.5) * wide - 0.5
        low, high = float(half[axis][0]), float(half[axis][-1])
        line = found[axis].movedim(axis, 0).flatten(1)[:, 0]
        torch.testing.assert_close(line, expected.clamp(low, high), atol=1e-3, rtol=1e-4)


def test_a_grid_that_does_not_fall_together_between_windows_is_refused():
    with pytest.raises(KnowledgeError) as caught:
        over_windows(lambda image: {"odd": functional.adaptive_avg_pool3d(image, 5)}, torch.zeros(1, 40, 16, 16), (32, 16, 16), 0.5)
    assert caught.value.code == "WINDOW_GRID"


@pytest.mark.parametrize("corner", [(0, 0, 0), (3, 4, 1), (-3, -4, 2), (9, 11, 12)])
def test_a_patch_of_a_half_grid_is_what_interpolation_gives(corner):
    values = torch.randn(3, 9, 10, 8, generator=torch.Generator().manual_seed(0))
    size = (16, 12, 10)
    box = Box((18, 20, 16), size, (0, 0, 0), (18, 20, 16))
    cells = tuple(e // 2 for e in size)
    torch.testing.assert_close(half_patch(values, corner, cells), patch_of(values, box, corner, cells), atol=1e-5, rtol=1e-5)
