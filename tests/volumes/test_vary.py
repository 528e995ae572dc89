from __future__ import annotations

import pytest
import torch

from data_contracts import StrongAugmentation, TrainingConfig
from medkd.trace import TEACHER_IMAGE, Sample
from medkd.volumes.augment import draw_view
from medkd.volumes.mix import harden, mix
from medkd.volumes.vary import vary

CONFIG = TrainingConfig(epochs=1, batch_size=4, augment="affine", strong=StrongAugmentation(noise=0.5, hidden=1))


def sample(row_channels):
    draw = torch.Generator().manual_seed(0)
    image, row = torch.rand(4, 1, 12, 12, generator=draw), 3 * torch.randn(4, row_channels, generator=draw)
    planes = row[:, :, None, None].expand(4, row_channels, 12, 12)
    return Sample(inputs={"image": torch.cat([image, planes], 1)}, labels=torch.arange(4) % 2), row


def test_a_row_is_neither_moved_nor_brightened_nor_blurred_and_the_image_is_as_it_would_be_without():
    given, row = sample(3)
    varied = vary(given, CONFIG, torch.Generator().manual_seed(1), row_channels=3)
    plain = vary(sample(0)[0], CONFIG, torch.Generator().manual_seed(1))
    for name in ("image", TEACHER_IMAGE):
        assert torch.equal(varied.inputs[name][:, :1], plain.inputs[name])
        assert torch.equal(varied.inputs[name][:, 1:], row[:, :, None, None].expand(4, 3, 12, 12))
    assert not torch.equal(plain.image, sample(0)[0].image)


@pytest.mark.parametrize("kind", ["none", "mixup"])
def test_without_a_row_it_is_what_it_was(kind):
    config, given = CONFIG.model_copy(update={"mix": kind}), sample(0)[0]
    generators = [torch.Generator().manual_seed(1) for _ in range(2)]
    one = vary(given, config, generators[0])
    other = harden(mix(draw_view(given, "affine", generators[1]), config, generators[1]), config.strong, generators[1])
    assert all(torch.equal(one.inputs[name], other.inputs[name]) for name in other.inputs)


def test_rows_are_blended_with_their_cases():
    given, row = sample(2)
    config = CONFIG.model_copy(update={"mix": "mixup", "strong": None})
    varied = vary(given, config, torch.Generator().manual_seed(1), row_channels=2)
    share = varied.shares[0]
    found = varied.image[:, 1:, 0, 0]
    assert any(torch.allclose(found, share * row + (1 - share) * row.roll(turn, 0), atol=1e-5) for turn in range(1, 4))
