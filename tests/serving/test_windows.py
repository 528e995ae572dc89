"""Windows in numpy say what MONAI's say."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch

from medkd.serving.windows import AT_ONCE, gaussian_weights, predict_windows

CASES = [
    ((20, 33, 17), (8, 16, 16), 0.5),
    ((5, 6, 40), (8, 8, 8), 0.25),  # smaller than the window along two axes
    ((8, 8, 8), (8, 8, 8), 0.5),
    ((30, 9, 9), (7, 7, 7), 0.6),
    ((16, 16, 16), (16, 8, 4), 0.0),
]


@pytest.mark.parametrize(("shape", "size", "overlap"), CASES)
def test_windows_are_those_of_monai(shape, size, overlap):
    from monai.inferers.utils import sliding_window_inference

    rng = np.random.default_rng(0)
    volume = rng.normal(size=(1, *shape)).astype(np.float32)
    # An answer that depends on the place within the window, so that weights matter.
    place = torch.arange(int(np.prod(size))).reshape(size) / 100

    def network(image):
        return torch.cat([image * 2 + place, image - place * place], dim=1)

    wanted = sliding_window_inference(
        torch.from_numpy(volume)[None], size, 2, network, overlap=overlap, mode="gaussian", cval=float(volume.min())
    )[0]
    found = predict_windows(lambda images: network(torch.from_numpy(images)).numpy(), volume, size, overlap)
    assert found.shape == tuple(wanted.shape)
    assert np.abs(found - wanted.numpy()).max() <= 1e-5 * float(wanted.abs().max())


@pytest.mark.parametrize("size", [(8, 8, 8), (5, 16), (33,)])
def test_weights_are_those_of_monai(size):
    from monai.data.utils import compute_importance_map

    assert np.allclose(gaussian_weights(size), compute_importance_map(size, mode="gaussian").numpy(), atol=1e-6)


@pytest.mark.parametrize("shape", [(48, 96, 96), pytest.param((200, 512, 512), marks=pytest.mark.extended)])
def test_no_more_is_held_than_accumulators_weights_and_a_few_windows(shape):
    """The peak beside the image: a float32 volume per channel of the answer, one of weights, and what one pass of windows takes."""
    volume, channels, size = np.zeros((1, *shape), np.float32), 4, (32, 32, 32)
    tracemalloc.start()
    try:
        found = predict_windows(lambda some: np.repeat(some, channels, axis=1), volume, size, 0.25)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.shape == (channels, *shape)
    window = 4 * np.prod(size) * AT_ONCE
    assert peak <= (channels + 1) * volume.nbytes + (4 * channels + 4) * window
