"""One forward pass, kept: inputs, outputs of all heads, and the features of named layers. The only forward hook of medkd."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from data_contracts import ExplanationError
from medkd.types import FeatureMap, Images, Logits

DEFAULT_HEAD = "default"
#: Input under which a sample carries the image that the teacher is asked about, where the student sees a harder one.
TEACHER_IMAGE = "teacher_image"
#: Between the number of one of several teachers and the part of its answer that a batch carries.
TEACHER_PART = "|"
#: Layers that every network has, whatever they are called in it: the one that class maps are read from, and the deepest encoder block.
LAST, ENCODER = "last", "encoder"


@dataclass(frozen=True)
class LayerMap:
    """What a network says of itself: layers that may be tapped, the layer class maps are read from, and its linear head.

    ``cam_layer`` feeds ``head`` through global average pooling (classification) or directly (segmentation, 1x1 head), so that
    the class map is closed-form: weight times features. ``deep_heads`` put out logits on coarser grids, finest first; ``attention``
    layers put out attention matrices [batch, heads, query, key], first block first. ``encoder`` are the blocks on the way down, shallow to
    deep; where it is empty, the ``feature_layers`` before ``cam_layer``. ``other_heads`` are the layers of further answers that are
    given in the same pass, by name (``boxes`` of a detector, ``classification`` of a multi-task network): a trace keeps what they put out beside the
    logits; ``other_cam_layers`` feed those of them that classify. Builders in ``medkd/models`` attach it as ``network.layer_map``.
    """

    feature_layers: tuple[str, ...]
    cam_layer: str
    head: str
    deep_heads: tuple[str, ...] = ()
    attention: tuple[str, ...] = ()
    encoder: tuple[str, ...] = ()
    other_heads: Mapping[str, str] = field(default_factory=dict)
    other_cam_layers: Mapping[str, str] = field(default_factory=dict)

    def encoder_blocks(self) -> tuple[str, ...]:
        """Return the blocks of the encoder, shallow to deep; none where the network has a single named layer."""
        return self.encoder or tuple(layer for layer in self.feature_layers if layer != self.cam_layer)

    def resolve(self, layer: str) -> str:
        """Return the name of a layer in this network: of ``last`` and ``encoder`` what they stand for, any other name as it is.

        Raises:
            ExplanationError: ``LAYER_UNKNOWN`` when the network has no encoder blocks.
        """
        if layer == LAST:
            return self.cam_layer
        if layer != ENCODER:
            return layer
        blocks = self.encoder_blocks()
        if not blocks:
            raise ExplanationError(
                "LAYER_UNKNOWN",
                f"expected a network with encoder blocks for the layer 'encoder', this one names {list(self.feature_layers)} alone",
            )
        return blocks[-1]


@dataclass(frozen=True)
class Sample:
    """A batch and what is known of it.

    Attributes:
        inputs: named inputs; ``image`` is float32 [batch, channel, *space].
        labels: int64 [batch] (classification) or [batch, *space] (segmentation); -1 where missing; None where unknown.
        masks: uint8 [batch, *space], where the lesion is; None where unknown.
        valid_mask: bool [batch, *space], False where voxels were synthesised or padded; None means all valid.
        weights: float32 [batch], weight of each case; None means one.
        voxel_weights: float32 [batch, *space], weight of each voxel in the terms that compare teacher and student; None means one.
        patients: int64 [batch], equal where two cases are one patient's; None means all different.
        spacing_mm: voxel spacing in the order of ``space``; None where unknown.
        view: name of the spatial view drawn (crop, flip, window).
        window: int64 [batch, space axis], where a patch begins in its volume; None for whole pictures.
        teacher: what a store (or several, each after its number and ``|``) says of the batch, moved along with the image: ``logits`` [batch, classes, *space], ``features/LAYER``
            [batch, features, *grid], ``maps/KEY`` [batch, maps, *grid].
        other_labels: as ``labels``, of what was blended in; None where nothing was.
        shares: float32 [batch], how much of each case is its own; None where nothing was blended in.
        explanation_weights: float32 [batch], weight of each case in terms that copy the teacher's explanations; None means ``weights``.
        forbidden: uint8 [batch, *space], percent to which readers forbid attribution there; None where there is no feedback.
        case_labels: int64 [batch], class of the whole case beside its mask, -1 where missing; None where no task asks for both.
    """

    inputs: Mapping[str, Tensor]
    labels: Tensor | None = None
    masks: Tensor | None = None
    valid_mask: Tensor | None = None
    weights: Tensor | None = None
    voxel_weights: Tensor | None = None
    patients: Tensor | None = None
    spacing_mm: tuple[float, ...] | None = None
    view: str = "clean"
    window: Tensor | None = None
    teacher: Mapping[str, Tensor] = field(default_factory=dict)
    other_labels: Tensor | None = None
    shares: Tensor | None = None
    explanation_weights: Tensor | None = None
    forbidden: Tensor | None = None
    case_labels: Tensor | None = None

    def mapped(self, change: Callable[[Tensor], Tensor]) -> Sample:
        """Return the sample with every tensor changed."""
        changed: dict[str, Any] = {name: change(value) for name, value in vars(self).items() if isinstance(value, Tensor)}
        inputs = {name: change(value) for name, value in self.inputs.items()}
        return replace(self, **changed, inputs=inputs, teacher={name: change(value) for name, value in self.teacher.items()})

    def rows(self, wanted: slice) -> Sample:
        """Return some cases of the batch."""
        return self.mapped(lambda value: value[wanted])

    @property
    def image(self) -> Images:
        """Return the default input."""
        return self.inputs["image"]


@dataclass(frozen=True)
class Trace:
    """A kept forward pass of ``model``. ``logits`` is the default head's output; ``features`` holds the tapped layers."""

    model: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    features: Mapping[str, Tensor] = field(default_factory=dict)
    head: str = DEFAULT_HEAD

    @property
    def image(self) -> Images:
        """Return the default input, [batch, channel, *space]."""
        return self.inputs["image"]

    @property
    def logits(self) -> Logits:
        """Return the default head's output, [batch, classes] or [batch, classes, *space]."""
        return self.outputs[self.head]

    @property
    def layer_map(self) -> LayerMap:
        """Return the model's anatomy."""
        return layer_map_of(self.model)

    def feature(self, layer: str) -> FeatureMap:
        """Return a tapped layer's output, or say which layers were tapped."""
        if layer not in self.features:
            raise ExplanationError("LAYER_NOT_TAPPED", f"expected features of layer {layer!r}, this trace holds {sorted(self.features)}")
        return self.features[layer]

    def head_weight(self) -> Tensor:
        """Return the linear head's weight as [classes, features], whatever its layer kind (Linear or 1x1 convolution)."""
        weight = self.model.get_submodule(self.layer_map.head).weight
        if not isinstance(weight, Tensor) or weight[0, 0].numel() != 1:
            raise ExplanationError(
                "HEAD_NOT_LINEAR", f"expected a Linear or 1x1 convolution at {self.layer_map.head!r} for a closed-form class map"
            )
        return weight.flatten(1)


def layer_map_of(model: nn.Module) -> LayerMap:
    """Return ``model.layer_map``, which every builder of the catalogue attaches."""
    layer_map = getattr(model, "layer_map", None)
    if not isinstance(layer_map, LayerMap):
        raise ExplanationError("ANATOMY_MISSING", f"expected a network built by medkd (with an anatomy), got {type(model).__name__}")
    return layer_map


def has_closed_form(model: nn.Module) -> bool:
    """Return whether a network's head is linear, or a 1x1 convolution: its class maps are then weights times features."""
    weight = getattr(model.get_submodule(layer_map_of(model).head), "weight", None)
    return isinstance(weight, Tensor) and weight.ndim > 1 and weight[0, 0].numel() == 1


def with_layer_map(model: nn.Module, layer_map: LayerMap) -> nn.Module:
    """Attach what a builder says of its network and return the network."""
    vars(model)["layer_map"] = layer_map  # a plain attribute: neither parameter nor submodule
    return model


def trace(
    model: nn.Module,
    inputs: Tensor | Mapping[str, Tensor],
    *,
    layers: Sequence[str] = (),
    leaf: str | None = None,
    on_output: Callable[[nn.Module, Tensor], None] | None = None,
    on_input: Callable[[nn.Module, Tensor], None] | None = None,
) -> Trace:
    """Run ``model`` once and keep what the named layers put out.

    Args:
        model: network with an anatomy.
        inputs: image [batch, channel, *space], or a mapping with the key ``image``.
        layers: names of submodules to tap; none by default.
        leaf: where the autograd graph is to begin: this layer's output is detached and made a leaf, nothing below it is
            recorded. For explanations of frozen networks only (a loss would lose its gradient below the leaf).
        on_output: called with each module that has no parts, and what it puts out.
        on_input: called with each module that has no parts, and what it is handed first.

    Raises:
        ExplanationError: ``LAYER_UNKNOWN`` when a layer does not exist, ``LAYER_SILENT`` when it was not reached.

    Hooks are removed on every way out, exceptions included. Flags and gradients of the model are not touched.
    """
    given = {"image": inputs} if isinstance(inputs, Tensor) else dict(inputs)
    heads = layer_map_of(model).other_heads if hasattr(model, "layer_map") else {}
    wanted = tuple(dict.fromkeys((*layers, *((leaf,) if leaf else ()), *heads.values())))
    kept: dict[str, Tensor] = {}
    with _tapped(model, wanted, kept, leaf, (on_input, on_output)):
        output = model(given["image"])
    silent = [layer for layer in wanted if layer not in kept]
    if silent:
        raise ExplanationError("LAYER_SILENT", f"expected layer {silent[0]!r} to be reached in the forward pass, it was not")
    outputs = (
        dict(output) if isinstance(output, Mapping) else {DEFAULT_HEAD: output, **{name: kept[layer] for name, layer in heads.items()}}
    )
    asked = {layer: kept[layer] for layer in (*layers, *((leaf,) if leaf else ()))}
    return Trace(model=model, inputs=given, outputs=outputs, features=asked)


def _layer(model: nn.Module, name: str) -> nn.Module:
    try:
        return model.get_submodule(name)
    except AttributeError:
        tappable = getattr(getattr(model, "layer_map", None), "feature_layers", ())
        message = f"expected a layer of {type(model).__name__} (named feature_layers: {list(tappable)}), got {name!r}"
        raise ExplanationError("LAYER_UNKNOWN", message) from None


class _Later(Mapping[str, Tensor]):
    """One side of a trace that is made when it is first read."""

    def __init__(self, made: Callable[[], Mapping[str, Tensor]]) -> None:
        self._made = made

    def __getitem__(self, name: str) -> Tensor:
        return self._made()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made())

    def __len__(self) -> int:
        return len(self._made())


def trace_when_read(model: nn.Module, inputs: Tensor | Mapping[str, Tensor], *, layers: Sequence[str] = ()) -> Trace:
    """Return a trace without graph whose pass is run when its outputs or features are first read: most explainers run their own."""
    made = functools.cache(lambda: _without_graph(model, inputs, layers))
    given = {"image": inputs} if isinstance(inputs, Tensor) else dict(inputs)
    return Trace(model=model, inputs=given, outputs=_Later(lambda: made().outputs), features=_Later(lambda: made().features))


def _without_graph(model: nn.Module, inputs: Tensor | Mapping[str, Tensor], layers: Sequence[str]) -> Trace:
    with torch.no_grad():
        return trace(model, inputs, layers=layers)


@contextmanager
def _tapped(
    model: nn.Module,
    layers: Sequence[str],
    kept: dict[str, Tensor],
    leaf: str | None,
    watchers: tuple[Callable[[nn.Module, Tensor], None] | None, Callable[[nn.Module, Tensor], None] | None],
) -> Iterator[None]:
    known = {layer: _layer(model, layer) for layer in layers}

    def keep(layer: str) -> Callable[[nn.Module, object, Tensor], Tensor | None]:
        """Return the hook of one layer."""

        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor | None:
            if layer == leaf:
                output = output.detach().requires_grad_()
            kept[layer] = output
            return output

        return hook

    handles: list[RemovableHandle] = []
    try:
        handles.extend(known[layer].register_forward_hook(keep(layer)) for layer in layers)
        on_input, on_output = watchers
        innermost = [module for module in model.modules() if next(module.children(), None) is None]
        if on_input is not None:
            handed = on_input
            handles.extend(module.register_forward_hook(lambda own, given, _: handed(own, given[0])) for module in innermost)
        if on_output is not None:
            on_module = on_output
            handles.extend(module.register_forward_hook(lambda own, _, output: on_module(own, output)) for module in innermost)
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def frozen(model: nn.Module) -> Iterator[nn.Module]:
    """Evaluate with running statistics and without parameter gradients; mode and flags are restored on every way out.

    The mode of each submodule is restored on its own: a partly frozen network comes back partly frozen.
    """
    flags = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with running_statistics(model):
        try:
            for parameter in flags:
                parameter.requires_grad_(False)
            yield model
        finally:
            for parameter in flags:
                parameter.requires_grad_(True)


@contextmanager
def running_statistics(model: nn.Module) -> Iterator[nn.Module]:
    """Evaluate with running statistics while parameters keep their gradients; each submodule's mode is restored."""
    # Only what trains is touched: an explanation of a network in eval mode costs next to nothing here.
    training = [module for module in model.modules() if module.training]
    try:
        if training:
            model.eval()
        yield model
    finally:
        for module in training:
            module.training = True


@contextmanager
def forked_rng(seed: int) -> Iterator[torch.Generator]:
    """Seed torch's global generators for a block and put them back as they were."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield torch.default_generator
