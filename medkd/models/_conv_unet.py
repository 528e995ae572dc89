"""U-Nets as nnU-Net v2 plans them, without the library that it builds them with: the same layers under the same names, one head.

Several networks of one build answer as their mean. Since each ends in a 1x1 convolution, that mean is one 1x1 convolution over the features
of all of them: the class map of an ensemble is closed-form as a single network's is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from data_contracts import NetworkSpec
from medkd.trace import LayerMap, with_layer_map

#: Parts of a network that read an image, by the begin of their names: what a pretrained encoder brings.
ENCODER = (r"members\.\d+\.encoder\.",)


@dataclass(frozen=True)
class Stages:
    """What the stages of a U-Net are made of.

    Attributes:
        dims: 2 or 3.
        features: channels per stage, finest first.
        kernels: kernel size per stage and axis.
        strides: stride of the first convolution per stage and axis.
        norm: ``instance`` or ``batch``.
        norm_eps: of the normalisation.
        slope: of the leaky rectifier; 0 for a plain one.
        bias: whether convolutions have one.
        nonlin_first: rectify before normalising.
    """

    dims: int
    features: tuple[int, ...]
    kernels: tuple[tuple[int, ...], ...]
    strides: tuple[tuple[int, ...], ...]
    norm: str
    norm_eps: float
    slope: float
    bias: bool
    nonlin_first: bool = False


def stages_of(spec: NetworkSpec, features: Sequence[int], kernel_sizes: Sequence[int], strides: Sequence[int], **more: object) -> Stages:
    """Return the stages of flat options; without kernel sizes all are 3, without strides all but the first are 2.

    Raises:
        ValueError: for lengths that do not belong together.
    """
    dims, count = spec.spatial_dims, len(features)
    kernels = tuple(kernel_sizes) or (3,) * (count * dims)
    steps = tuple(strides) or (1,) * dims + (2,) * ((count - 1) * dims)
    if count < 2 or len(kernels) != count * dims or len(steps) != count * dims:
        raise ValueError(f"expected two stages or more, and {dims} kernel sizes and strides for each, got {features}, {kernels}, {steps}")
    each = [tuple(flat[dims * stage : dims * (stage + 1)] for stage in range(count)) for flat in (kernels, steps)]
    return Stages(dims, tuple(features), each[0], each[1], **more)  # type: ignore[arg-type]


def per_stage(counts: Sequence[int], stages: int) -> tuple[int, ...]:
    """Return a number per stage; a single one stands for all.

    Raises:
        ValueError: for another count.
    """
    found = tuple(counts) * (stages if len(counts) == 1 else 1)
    if len(found) != stages or min(found) < 1:
        raise ValueError(f"expected one number or {stages}, each 1 or more, got {tuple(counts)}")
    return found


class ConvBlock(nn.Module):
    """A convolution, normalised and rectified; ``conv`` and ``norm`` are called as nnU-Net calls them."""

    def __init__(
        self, of: Stages, channels: tuple[int, int], kernel: tuple[int, ...], stride: tuple[int, ...], *, plain: bool = False
    ) -> None:
        super().__init__()
        convolution = nn.Conv2d if of.dims == 2 else nn.Conv3d
        padding = tuple((size - 1) // 2 for size in kernel)
        self.conv = convolution(*channels, kernel, stride, padding, bias=of.bias)  # type: ignore[arg-type]
        norms = {"instance": (nn.InstanceNorm2d, nn.InstanceNorm3d), "batch": (nn.BatchNorm2d, nn.BatchNorm3d)}[of.norm]
        self.norm = norms[of.dims - 2](channels[1], eps=of.norm_eps, affine=True)
        self.nonlin = None if plain else nn.LeakyReLU(of.slope)
        self.nonlin_first = of.nonlin_first

    def forward(self, image: Tensor) -> Tensor:
        """Return features [batch, channels, *grid]."""
        found: Tensor = self.conv(image)
        if self.nonlin is None:
            return self.norm(found)  # type: ignore[no-any-return]
        return self.norm(self.nonlin(found)) if self.nonlin_first else self.nonlin(self.norm(found))  # type: ignore[no-any-return]


class ConvStack(nn.Module):
    """Convolutions one after another, the first with a stride."""

    def __init__(self, of: Stages, channels: tuple[int, int], count: int, kernel: tuple[int, ...], stride: tuple[int, ...]) -> None:
        super().__init__()
        once = (1,) * of.dims
        self.convs = nn.Sequential(
            ConvBlock(of, channels, kernel, stride), *(ConvBlock(of, (channels[1],) * 2, kernel, once) for _ in range(count - 1))
        )

    def forward(self, image: Tensor) -> Tensor:
        """Return features [batch, channels, *grid]."""
        found: Tensor = self.convs(image)
        return found


class _Decoder(nn.Module):
    """Transposed convolutions and stages from the deepest features to the finest grid."""

    def __init__(self, of: Stages, counts: tuple[int, ...]) -> None:
        super().__init__()
        transposed, once = (nn.ConvTranspose2d if of.dims == 2 else nn.ConvTranspose3d), (1,) * of.dims
        levels = [
            (of.features[-place], of.features[-place - 1], of.strides[-place], of.kernels[-place - 1])
            for place in range(1, len(of.features))
        ]
        self.transpconvs = nn.ModuleList(transposed(below, skip, step, step, bias=of.bias) for below, skip, step, _ in levels)  # type: ignore[arg-type]
        self.stages = nn.ModuleList(
            ConvStack(of, (2 * skip, skip), count, kernel, once) for (_, skip, _, kernel), count in zip(levels, counts, strict=True)
        )

    def forward(self, skips: list[Tensor]) -> Tensor:
        """Return the last features [batch, channels, *space] of the encoder's, finest first."""
        found = skips[-1]
        for place, (up, stage) in enumerate(zip(self.transpconvs, self.stages, strict=True)):
            found = stage(torch.cat((up(found), skips[-2 - place]), 1))
        return found


class ConvUNet(nn.Module):
    """An encoder that gives the features of each stage, and a decoder."""

    def __init__(self, encoder: nn.Module, of: Stages, decoder_counts: tuple[int, ...]) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, _Decoder(of, decoder_counts)

    def forward(self, image: Tensor) -> Tensor:
        """Return the last features [batch, channels, *space]."""
        found: Tensor = self.decoder(self.encoder(image))
        return found


@dataclass(frozen=True)
class SeenImage:
    """What becomes of an image before the first layer, where a network was trained on other numbers or on axes in another order.

    Attributes:
        scale: factor of the values.
        shift: what is added then.
        axes: order of the axes of space; empty for the image's own.
        flips: axes (of that order) that run the other way.
    """

    scale: float = 1.0
    shift: float = 0.0
    axes: tuple[int, ...] = ()
    flips: tuple[int, ...] = ()

    def to_network(self, image: Tensor) -> Tensor:
        """Return the image [batch, channel, *space] as the network was trained on it."""
        values = image if (self.scale, self.shift) == (1.0, 0.0) else image * self.scale + self.shift
        values = values.permute(0, 1, *(axis + 2 for axis in self.axes)) if self.axes else values
        return values.flip([axis + 2 for axis in self.flips]) if self.flips else values

    def to_image(self, features: Tensor) -> Tensor:
        """Return features [batch, channel, *space of the network] along the image's axes."""
        values = features.flip([axis + 2 for axis in self.flips]) if self.flips else features
        if not self.axes:
            return values
        back = sorted(range(len(self.axes)), key=self.axes.__getitem__)
        return values.permute(0, 1, *(axis + 2 for axis in back)).contiguous()

    @property
    def moves(self) -> bool:
        """Return whether grids within the network are not the image's."""
        return bool(self.axes or self.flips)


class ConvUNetEnsemble(nn.Module):
    """Networks of one build whose logits are averaged: their last features side by side, and one 1x1 head."""

    def __init__(self, members: list[ConvUNet], channels: int, spec: NetworkSpec, seen: SeenImage) -> None:
        super().__init__()
        convolution = nn.Conv2d if spec.spatial_dims == 2 else nn.Conv3d
        self.members, self.seen = nn.ModuleList(members), seen
        self.features = nn.Identity()
        self.head = convolution(channels * len(members), spec.out_channels, kernel_size=1)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits [batch, classes, *space] of an image [batch, channel, *space]."""
        seen = self.seen.to_network(image)
        found = self.seen.to_image(torch.cat([member(seen) for member in self.members], 1))
        logits: Tensor = self.head(self.features(found))
        return logits


def ensemble_of(make: Callable[[], ConvUNet], members: int, spec: NetworkSpec, stages: Stages, seen: SeenImage) -> nn.Module:
    """Return so many networks as one, with its layer map: stages of the encoder where there is one network and its grids are the image's.

    Raises:
        ValueError: for less than one member, or axes that are none.
    """
    dims = range(spec.spatial_dims)
    if members < 1 or (seen.axes and sorted(seen.axes) != list(dims)) or not set(seen.flips) <= set(dims):
        raise ValueError(f"expected a member or more, axes in some order and flips among them, got {members}, {seen.axes}, {seen.flips}")
    network = ConvUNetEnsemble([make() for _ in range(members)], stages.features[0], spec, seen)
    inner = [f"members.0.encoder.stages.{stage}" for stage in range(len(stages.features))]
    shown = inner if members == 1 and not seen.moves else []
    return with_layer_map(network, LayerMap(feature_layers=(*shown, "features"), cam_layer="features", head="head"))
