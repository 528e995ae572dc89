"""Any network of ``monai.networks.nets``, by the name of its class: what a MONAI Bundle or a plain state dict was trained with."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from data_contracts import NetworkSpec
from medkd.models._conv_unet import SeenImage
from medkd.trace import LayerMap, frozen, with_layer_map

TASKS = frozenset({"classification", "segmentation"})
SOURCE = "MONAI 1.6.1, monai.networks.nets"

#: What classes call the channels in, those out, and the spatial dimensions.
_NAMES = {
    "in_channels": ("in_channels", "n_input_channels"),
    "out_channels": ("out_channels", "num_classes"),
    "spatial_dims": ("spatial_dims",),
}
_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d)


class MonaiNetwork(nn.Module):
    """A network of MONAI without its linear head, and that head; ``no_head`` stands for the head of one whose last layer is not linear.

    Attributes:
        net: what the head reads, or the whole network.
        head: 1x1 convolution; None where the last layer is another.
        head_name: what it is called within MONAI's network.
    """

    def __init__(self, net: nn.Module, seen: SeenImage) -> None:
        super().__init__()
        self.net, self.seen, self.features, self.no_head = net, seen, nn.Identity(), nn.Identity()
        self.head: nn.Module | None = None
        self.head_name = ""

    def forward(self, image: Tensor) -> Tensor:
        """Return logits [batch, classes, *space] or [batch, classes]; of a network with several outputs the first."""
        answer = self.net(self.seen.to_network(image))
        found: Tensor = answer[0] if isinstance(answer, tuple | list) else answer
        found = self.seen.to_image(found) if found.ndim == image.ndim else found
        if self.head is None:
            return found
        logits: Tensor = self.head(self.features(found))
        return logits

    def take_head(self, name: str) -> None:
        """Put the head behind the network, where what it reads lies on the image's grid."""
        parent, _, own = name.removeprefix("net.").rpartition(".")
        self.head, self.head_name = self.net.get_submodule(f"{parent}.{own}" if parent else own), name
        setattr(self.net.get_submodule(parent), own, nn.Identity())


def monai_network(
    spec: NetworkSpec,
    *,
    network: str = "BasicUNet",
    arguments: str = '{"features": [8, 8, 16, 16, 32, 8]}',
    probe_size: tuple[int, ...] = (),
    input_scale: float = 1.0,
    input_shift: float = 0.0,
    axes: tuple[int, ...] = (),
    flips: tuple[int, ...] = (),
) -> nn.Module:
    """Build the network; its last layer is looked for with one pass over noise.

    Args:
        spec: channels in and out, spatial dimensions.
        network: name of the class, for example ``SegResNet``.
        arguments: its further arguments as JSON; channels and dimensions follow from ``spec``.
        probe_size: voxels along each axis of the image of that pass, one that the network takes; empty for 32.
        input_scale: factor of the image's values.
        input_shift: what is added to them then.
        axes: order in which the network sees the image's axes; empty for the image's own.
        flips: axes, of that order, that the network sees the other way round.

    A last layer that is a 1x1 convolution, or a linear one after a global average, gives closed-form class maps. Of any other network only
    explainers work that need none.
    """
    kind = network_class(network)
    net = kind(**class_arguments(kind, spec, json.loads(arguments)))
    for module in net.modules():
        if getattr(module, "inplace", False):
            vars(module)["inplace"] = False  # before the probe: what is tapped must be what the layer put out
    built = MonaiNetwork(net, SeenImage(input_scale, input_shift, tuple(axes), tuple(flips)))
    return with_layer_map(built, _found_layers(built, spec, tuple(probe_size) or (32,) * spec.spatial_dims))


def network_class(name: str) -> Callable[..., nn.Module]:
    """Return a class of ``monai.networks.nets``, and nothing else of that name's module.

    Raises:
        ValueError: for any other name.
    """
    from monai.networks import nets  # seconds to import: paid where a network is built, not where a recipe is read

    found = vars(nets).get(name)
    of_monai = getattr(found, "__module__", "").startswith("monai.networks.nets.")
    if not (name.isidentifier() and of_monai and (inspect.isfunction(found) or (inspect.isclass(found) and issubclass(found, nn.Module)))):
        raise ValueError(f"expected a network of monai.networks.nets, {name[:60]!r} is none")
    made: Callable[..., nn.Module] = found
    return made


def class_arguments(kind: Callable[..., nn.Module], spec: NetworkSpec, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a class: those given, channels and dimensions as the specification says, by the names that the class has."""
    known = inspect.signature(kind).parameters
    anything = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in known.values())
    found = dict(arguments)
    for field, names in _NAMES.items():
        name = next((one for one in names if one in known or one in arguments), names[0] if anything else None)
        if name is not None:
            found[name] = getattr(spec, field)
    return found


@dataclass(frozen=True)
class _Passed:
    """A layer that the probe went through: what it read and what it put out."""

    name: str
    read: Tensor
    output: Tensor


def _found_layers(network: MonaiNetwork, spec: NetworkSpec, size: tuple[int, ...]) -> LayerMap:
    image = torch.randn(1, spec.in_channels, *size, generator=torch.Generator().manual_seed(0))
    answer, passed = _probe(network, image)
    layers = [] if network.seen.moves else _spatial(passed, spec.spatial_dims)
    last = passed[-1] if passed else _Passed("no_head", image, image)
    layer = network.get_submodule(last.name)
    if last.output.shape == network.seen.to_network(answer).shape if answer.ndim == image.ndim else last.output.shape == answer.shape:
        if isinstance(layer, _CONVOLUTIONS) and layer.weight[0, 0].numel() == 1:
            network.take_head(last.name)
            # What the head reads is ``features``; the layer that puts it out is not named once more.
            read = {one.name for one in passed if one.output.data_ptr() == last.read.data_ptr()} | {last.name}
            deeper = [name for name in layers[-5:] if name not in read][-3:]
            return LayerMap(feature_layers=(*deeper, "features"), cam_layer="features", head="head")
        pooled = [one.name for one in passed if _pools_to(one.output, last.read)] if isinstance(layer, nn.Linear) else []
        if pooled and not network.seen.moves:
            return LayerMap(feature_layers=(pooled[-1],), cam_layer=pooled[-1], head=last.name)
    return LayerMap(feature_layers=tuple(layers[-1:]), cam_layer=layers[-1] if layers else "net", head="no_head")


def _probe(network: MonaiNetwork, image: Tensor) -> tuple[Tensor, list[_Passed]]:
    """Return the answer about an image, and the innermost layers of MONAI's network in the order in which it passed them."""
    passed: list[_Passed] = []
    names = {module: f"net.{name}" for name, module in network.net.named_modules() if next(module.children(), None) is None}

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if inputs and isinstance(inputs[0], Tensor) and isinstance(output, Tensor):
            passed.append(_Passed(names[module], inputs[0], output))

    handles = [module.register_forward_hook(keep) for module in names]
    try:
        with frozen(network), torch.no_grad():
            return network(image), passed
    finally:
        for handle in handles:
            handle.remove()


def _spatial(passed: list[_Passed], dims: int) -> list[str]:
    """Return the layers whose output is a map of features, in their order, each once, those in place of another's memory left out."""
    found: dict[int, str] = {}
    for one in passed:
        if one.output.ndim == dims + 2 and max(one.output.shape[2:]) > 1:
            found[one.output.data_ptr()] = one.name
    return list(dict.fromkeys(found.values()))


def _pools_to(values: Tensor, read: Tensor) -> bool:
    """Return whether a map's mean over space is what a linear head reads."""
    if values.ndim < 4 or values.shape[1] != read.shape[-1] or values[0, 0].numel() == 1:
        return False
    return torch.allclose(values.flatten(2).mean(2), read.reshape(1, -1), atol=1e-5)


def own_name(network: MonaiNetwork, name: str) -> str:
    """Return what a weight of MONAI's own network is called in ours."""
    full = f"net.{name}"
    is_head = network.head is not None and full.startswith(f"{network.head_name}.")
    return f"head.{full.removeprefix(network.head_name + '.')}" if is_head else full
