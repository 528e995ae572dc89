"""Logits of many images, in chunks, by a frozen network."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from data_contracts import Task
from medkd.attribution._chunk import passes_at_once
from medkd.trace import Trace, frozen, layer_map_of, trace
from medkd.types import Images, Logits


def predict_logits(model: nn.Module, images: Images, *, chunk: int | None = None, flips: tuple[int, ...] = ()) -> Logits:
    """Return float32 logits [n, classes, *space] of images [n, channel, *space], without gradients.

    Args:
        model: network.
        images: of one size.
        chunk: images per forward pass; by default what suits the device.
        flips: axes of space; logits are averaged over all mirrorings along them (a task's ``test_time_flips``).
    """
    answer, chunk = averaged_over_flips(model, flips), chunk or passes_at_once(images)
    with frozen(model), torch.no_grad():
        return torch.cat([answer(images[begin : begin + chunk]).float() for begin in range(0, len(images), chunk)])


def averaged_over_flips(model: Callable[[Tensor], Tensor], flips: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
    """Return a network that answers with the mean of its logits over an image [n, channel, *space] and its mirrorings, turned back."""
    subsets = [axes for size in range(len(flips) + 1) for axes in itertools.combinations(flips, size)]

    def answer(image: Tensor) -> Tensor:
        # The device of the answer is known with the first one only.
        total = torch.zeros(())
        for axes in subsets:
            places = tuple(axis + 2 for axis in axes)
            logits = model(image.flip(places)).float()
            total = total.to(logits.device) + (logits.flip(places) if logits.ndim > 2 else logits)
        return total / len(subsets)

    return answer if flips else model


def predict_class_maps(model: nn.Module, images: Images, *, chunk: int | None = None) -> tuple[Logits, Tensor, Trace]:
    """Return logits, the features of the ``cam_layer``, and one trace that holds them for all images at once."""
    layer, chunk = layer_map_of(model).cam_layer, chunk or passes_at_once(images)
    with frozen(model), torch.no_grad():
        traces = [trace(model, images[begin : begin + chunk], layers=(layer,)) for begin in range(0, len(images), chunk)]
    logits, features = torch.cat([t.logits for t in traces]).float(), torch.cat([t.feature(layer) for t in traces]).float()
    return logits, features, Trace(model=model, inputs={"image": images}, outputs={"default": logits}, features={layer: features})


def predict_volume(model: nn.Module, volume: Tensor, task: Task) -> Tensor:
    """Return float32 logits [classes, *space] of one volume [channel, *space], by overlapping windows.

    Windows are of the task's size and overlap by its share; their logits are averaged with Gaussian weights. A volume that fits into
    one window is padded with its lowest value and predicted once: windows then change nothing. The task's ``test_time_flips`` are
    averaged within each window.
    """
    from monai.inferers.utils import sliding_window_inference  # seconds to import: paid where volumes are predicted

    with frozen(model), torch.no_grad():
        logits = sliding_window_inference(
            volume[None],
            roi_size=task.image_size,
            sw_batch_size=2,
            predictor=averaged_over_flips(model, task.test_time_flips),
            overlap=task.overlap,
            mode="gaussian",
            cval=float(volume.min()),
        )
    # MONAI returns a dictionary or a tuple where the network does.
    if not isinstance(logits, Tensor):
        raise TypeError(f"expected one tensor of logits from {type(model).__name__}, got {type(logits).__name__}")
    return logits[0].float()


def measure_latency_ms(model: nn.Module, image: Images, *, repeats: int = 20) -> float:
    """Return the median wall-clock milliseconds of one forward pass of one image (float32, this machine)."""
    times = []
    with frozen(model), torch.no_grad():
        for _ in range(repeats):
            started = time.perf_counter()
            model(image[:1])
            times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)
