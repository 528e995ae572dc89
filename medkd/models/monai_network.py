"""Any network of ``monai.networks.nets``, by the name of its class: what a MONAI Bundle or a plain state dict was trained with."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from data_contracts import NetworkSpec
from medkd.models._conv_unet import SeenImage
from medkd.trace import LayerMap, frozen, trace, with_layer_map

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


def _found_layers(network: MonaiNetwork, spec: NetworkSpec, size: tuple[int, ...]) -> LayerMap:
    passed, answer = _probe(network, torch.randn(1, spec.in_channels, *size, generator=torch.Generator().manual_seed(0)))
    layers = [] if network.seen.moves else _spatial(passed, spec.spatial_dims)
    name, output = passed[-1] if passed else ("no_head", answer)
    layer = network.get_submodule(name)
    if _is_answer(network, output, answer) and isinstance(layer, (*_CONVOLUTIONS, nn.Linear)):
        if isinstance(layer, _CONVOLUTIONS) and layer.weight[0, 0].numel() == 1:
            # What the head reads is ``features``; the layer that puts it out is not named once more.
            read = {one for one, values in passed if _answers(layer, values, output)} | {name}
            deeper = [one for one in layers[-5:] if one not in read][-3:]
            network.take_head(name)
            return LayerMap(feature_layers=(*deeper, "features"), cam_layer="features", head="head")
        pooled = [
            one
            for one, values in passed
            if values.ndim > 3 and _answers(layer, values.flatten(2).mean(2), output) and values[0, 0].numel() > 1
        ]
        if isinstance(layer, nn.Linear) and pooled and not network.seen.moves:
            return LayerMap(feature_layers=(pooled[-1],), cam_layer=pooled[-1], head=name)
    return LayerMap(feature_layers=tuple(layers[-1:]), cam_layer=layers[-1] if layers else "net", head="no_head")


def _probe(network: MonaiNetwork, image: Tensor) -> tuple[list[tuple[str, Tensor]], Tensor]:
    """Return what the innermost layers of MONAI's network put out about an image, in the order in which it passed them, and its answer."""
    passed: list[tuple[str, Tensor]] = []
    names = {module: f"net.{name}" for name, module in network.net.named_modules()}

    def keep(module: nn.Module, output: Tensor) -> None:
        if module in names and isinstance(output, Tensor):
            passed.append((names[module], output))

    with frozen(network), torch.no_grad():
        return passed, trace(network, image, on_output=keep).logits


def _is_answer(network: MonaiNetwork, output: Tensor, answer: Tensor) -> bool:
    """Return whether what a layer put out is the network's answer, but for the order of its axes."""
    turned = network.seen.to_image(output) if output.ndim == answer.ndim > 2 else output
    return turned.shape == answer.shape and torch.equal(turned, answer)


def _answers(layer: nn.Module, values: Tensor, output: Tensor) -> bool:
    """Return whether a layer makes an output of values; values of another number of channels it cannot read."""
    channels = layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels
    if values.ndim != output.ndim or values.shape[1] != channels or values.shape[2:] != output.shape[2:]:
        return False
    return torch.allclose(layer(values), output, atol=1e-5)


def _spatial(passed: list[tuple[str, Tensor]], dims: int) -> list[str]:
    """Return the layers whose output is a map of features, in their order, each once, those in place of another's memory left out."""
    found = {values.data_ptr(): name for name, values in passed if values.ndim == dims + 2 and max(values.shape[2:]) > 1}
    return list(dict.fromkeys(found.values()))


def own_name(network: MonaiNetwork, name: str) -> str:
    """Return what a weight of MONAI's own network is called in ours."""
    full = f"net.{name}"
    is_head = network.head is not None and full.startswith(f"{network.head_name}.")
    return f"head.{full.removeprefix(network.head_name + '.')}" if is_head else full
