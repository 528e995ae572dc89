from __future__ import annotations

import pytest
import torch

from medkd.attribution.layer_trace import LayerTrace
from medkd.explanation.draw_inspection import _key, _slice, draw_inspection

TRACED = LayerTrace(("a", "b"), ((0,), (1,)), ((1.0,), (0.5,)), ("c",), torch.tensor([[0.5], [0.25]], dtype=torch.float64))


def arrays_of(*space, flips=True):
    generator = torch.Generator().manual_seed(0)
    found = {"image": torch.rand(2, 1, *space, generator=generator)}
    for role in ("student", "teacher"):
        found[f"change/{role}"] = torch.rand(2, 1, *space, generator=generator) - 0.5
        found[f"plane/{role}"] = torch.linspace(-1 if flips else 0.5, 1, 9).view(1, 3, 3)
        found[f"offsets/{role}"] = torch.linspace(-1, 1, 3)[None]
    for name in ("benign", "malignant"):
        found[f"feature_visualisation/{name}"] = torch.rand(1, 1, *space, generator=generator)
    return found


@pytest.mark.parametrize("space", [(8, 8), (4, 8, 8)])
def test_pictures_and_volumes_are_drawn_the_same_bytes_for_the_same_arrays(space):
    picture = draw_inspection(TRACED, arrays_of(*space), ("benign", "malignant"))
    assert picture.startswith(b"\x89PNG")
    assert picture == draw_inspection(TRACED, arrays_of(*space), ("benign", "malignant"))


def test_an_answer_that_nowhere_flips_has_no_border_to_draw():
    assert draw_inspection(TRACED, arrays_of(8, 8, flips=False), ("benign", "malignant")).startswith(b"\x89PNG")


def test_of_a_volume_the_slice_that_changes_most_is_shown():
    change = torch.zeros(4, 3, 3)
    change[2, 0, 0], change[1] = 3.0, 0.5
    assert _key(change) == 2
    assert _key(change[0]) == 0
    assert _slice(change, 2)[0, 0] == 3.0
    assert (_slice(change) == change[2].numpy()).all()
    assert _slice(change[1]).shape == (3, 3)
