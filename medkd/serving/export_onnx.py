"""A trained network as ONNX: logits and, where its head allows one, the closed-form class map of every class."""

from __future__ import annotations

import io
import itertools
import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from data_contracts import RegistryError, Task
from medkd.serving.network import CLASS_MAP, IMAGE, LOGITS, OnnxNetwork
from medkd.trace import frozen, has_closed_form, layer_map_of, trace

#: Largest difference of an answer or a map between the two forms, as a share of the largest magnitude or of 1.
TOLERANCE = 1e-4
#: Operators as ONNX Runtime and OpenVINO have known them for years; newer ones bring nothing that these networks use.
OPSET = 18
_MODES = {2: "bilinear", 3: "trilinear"}


class ServedNetwork(nn.Module):
    """A network whose output is (logits, class map of every class), or logits alone where there is no closed form.

    The class map of class k is sum_f w_kf A_f over the last features (divided by the number of cells behind global average pooling),
    interpolated to the image's grid: [batch, class, *space], in logits. Its sum over the features' cells is the logit less the bias.

    Args:
        network: built by medkd.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.has_map = has_closed_form(network)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor] | Tensor:
        """Return logits [batch, class, (*space)] and the class maps [batch, class, *space] of an image [batch, channel, *space]."""
        layers = layer_map_of(self.network)
        traced = trace(self.network, image, layers=(layers.cam_layer,) if self.has_map else ())
        if not self.has_map:
            return traced.logits
        features, bias = traced.feature(layers.cam_layer), getattr(self.network.get_submodule(layers.head), "bias", None)
        space = image.shape[2:]
        if traced.logits.ndim > 2:
            # A 1x1 head on the image's grid: its logits less the bias are the maps.
            maps = traced.logits if bias is None else traced.logits - bias.view(1, -1, *(1,) * len(space))
        else:
            cells = math.prod(features.shape[2:])
            maps = torch.einsum("kf,nf...->nk...", traced.head_weight(), features) / cells
            # As :func:`medkd.attribution._grid.on_grid`, said without the reshapes that would fix the batch.
            maps = functional.interpolate(maps, size=tuple(space), mode=_MODES[len(space)], align_corners=False)
        return traced.logits, maps


@dataclass(frozen=True)
class OnnxForm:
    """A network as ONNX and how far it is from the network it was made of.

    Attributes:
        payload: bytes of the ONNX model.
        logits_difference: largest difference of a logit, as :data:`TOLERANCE` measures it.
        map_difference: of a class map; None where there is no map.
    """

    payload: bytes
    logits_difference: float
    map_difference: float | None


def export_onnx(network: nn.Module, task: Task, *, seed: int = 0) -> OnnxForm:
    """Return a network as ONNX whose answers and maps were compared with the network's on images drawn at random.

    The batch is free, the image's size is the task's. TorchScript's exporter is used: the newer one takes 3 to 9 s a network where this
    takes 0.1 to 0.6, and writes convolutions that ONNX Runtime refuses (torch 2.13, bias of size 1).

    Args:
        network: on any device; it stays there, in its mode.
        task: gives the size of an image, and how many a network sees side by side.
        seed: of the images that are compared.

    Raises:
        RegistryError: ``FORM_NOT_EXPORTED`` when the exporter refuses, ``FORM_DIFFERS`` when an answer, an arg-max or a map differs.
    """
    served = ServedNetwork(network)
    generator = torch.Generator().manual_seed(seed)
    device = next(network.parameters()).device
    image = torch.randn(2, task.in_channels, *task.image_size, generator=generator).to(device)
    names = [LOGITS, CLASS_MAP] if served.has_map else [LOGITS]
    written = io.BytesIO()
    with frozen(network), torch.no_grad(), quiet_exporter():
        served.training = False  # the exporter puts back the mode that it finds, in every part
        try:
            torch.onnx.export(
                served,
                (image,),
                written,  # type: ignore[arg-type]  # the annotation is that of the newer exporter
                dynamo=False,
                input_names=[IMAGE],
                output_names=names,
                dynamic_axes={name: {0: "n"} for name in (IMAGE, *names)},
                opset_version=OPSET,
            )
        except Exception as error:  # the exporter, and whatever network it follows, refuse in any way
            why = " ".join(str(error).split())[:160]
            raise RegistryError(
                "FORM_NOT_EXPORTED", f"expected a network that ONNX can express, {type(network).__name__} is none ({why})"
            ) from error
    compared = torch.randn(3, task.in_channels, *task.image_size, generator=generator)
    expected = answers_of(served, compared)
    found = OnnxNetwork(written.getvalue(), task).ask(compared.numpy())
    differences = compare_forms(expected, found)
    return OnnxForm(written.getvalue(), differences[0], differences[1] if len(differences) > 1 else None)


def answers_of(served: ServedNetwork, images: Tensor, *, flips: tuple[int, ...] = ()) -> list[NDArray[np.float32]]:
    """Return [logits, class maps] (or [logits]) that a network itself gives of images [n, channel, *space], averaged over mirrorings.

    Args:
        served: on any device, in any mode.
        images: float32.
        flips: axes of space that are mirrored; none by default.
    """
    device = next(served.network.parameters()).device
    subsets = [axes for size in range(len(flips) + 1) for axes in itertools.combinations(flips, size)]
    totals: list[Tensor] = []
    with frozen(served.network), torch.no_grad():
        for axes in subsets:
            places = tuple(axis + 2 for axis in axes)
            answer = served(images.to(device).flip(places))
            parts = [part.float().cpu() for part in (answer if isinstance(answer, tuple) else (answer,))]
            parts = [part.flip(places) if part.ndim > 2 else part for part in parts]
            totals = parts if not totals else [total + own for total, own in zip(totals, parts, strict=True)]
    return [(total / len(subsets)).numpy() for total in totals]


def compare_forms(expected: list[NDArray[np.float32]], found: list[NDArray[np.float32]]) -> list[float]:
    """Return the largest difference of logits, and of class maps, between a network and its form, as a share of the magnitude or of 1.

    Raises:
        RegistryError: ``FORM_DIFFERS`` when one is beyond :data:`TOLERANCE`, or another class is the most likely by more than that.
    """
    differences = []
    for name, own, other in zip((LOGITS, CLASS_MAP), expected, found, strict=False):
        scale = max(float(np.abs(own).max()), 1.0)
        worst = float(np.abs(own - other).max()) / scale if own.shape == other.shape else float("inf")
        if not worst <= TOLERANCE:  # NaN is no agreement
            raise RegistryError(
                "FORM_DIFFERS",
                f"expected the serving form to give the network's {name} to {TOLERANCE:g} of {scale:.3g}, it is off by {worst:.3g}",
            )
        differences.append(worst)
    if len(expected) != len(found):
        raise RegistryError("FORM_DIFFERS", f"expected {len(expected)} outputs of the serving form, it has {len(found)}")
    # The same arg-max, except where the network itself cannot tell two classes apart.
    chosen = expected[0].argmax(1)
    given = np.take_along_axis(expected[0], found[0].argmax(1)[:, None], 1)[:, 0]
    margin = np.take_along_axis(expected[0], chosen[:, None], 1)[:, 0] - given
    if float(margin.max()) > 2 * TOLERANCE * max(float(np.abs(expected[0]).max()), 1.0):
        raise RegistryError("FORM_DIFFERS", f"expected the network's classes of the serving form, {int((margin > 0).sum())} differ")
    return differences


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Leave out what the exporter says of itself: that a newer one exists, and which extensions of torch are not installed."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
