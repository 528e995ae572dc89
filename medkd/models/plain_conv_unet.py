"""The U-Net that nnU-Net v2 plans by default: plain convolutions, strides instead of pooling, instance normalisation."""

from __future__ import annotations

from torch import Tensor, nn

from data_contracts import NetworkSpec
from medkd.models._conv_unet import ENCODER as ENCODER
from medkd.models._conv_unet import ConvStack, ConvUNet, SeenImage, Stages, ensemble_of, per_stage, stages_of

TASKS = frozenset({"segmentation"})
SOURCE = "Isensee et al. 2021 (nnU-Net, 1904.08128); PlainConvUNet of dynamic-network-architectures 0.4"


class _Encoder(nn.Module):
    """Stages of plain convolutions, each in a sequence of its own as the weights of nnU-Net name them."""

    def __init__(self, of: Stages, channels: int, counts: tuple[int, ...]) -> None:
        super().__init__()
        inputs = (channels, *of.features[:-1])
        self.stages = nn.Sequential(
            *(
                nn.Sequential(ConvStack(of, (before, width), count, kernel, stride))
                for before, width, count, kernel, stride in zip(inputs, of.features, counts, of.kernels, of.strides, strict=True)
            )
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the features of each stage, finest first."""
        found: list[Tensor] = []
        for stage in self.stages:
            found.append(stage(found[-1] if found else image))
        return found


def plain_conv_unet(
    spec: NetworkSpec,
    *,
    features: tuple[int, ...] = (8, 16, 32),
    kernel_sizes: tuple[int, ...] = (),
    strides: tuple[int, ...] = (),
    convs: tuple[int, ...] = (2,),
    decoder_convs: tuple[int, ...] = (2,),
    norm: str = "instance",
    norm_eps: float = 1e-5,
    slope: float = 0.01,
    bias: bool = True,
    nonlin_first: bool = False,
    members: int = 1,
    input_scale: float = 1.0,
    input_shift: float = 0.0,
    axes: tuple[int, ...] = (),
    flips: tuple[int, ...] = (),
) -> nn.Module:
    """Build the network; the image size must divide by the product of the strides.

    Args:
        spec: channels in and out, spatial dimensions.
        features: channels per stage, finest first.
        kernel_sizes: of each stage along each axis, one after another; empty for 3.
        strides: of each stage along each axis; empty for 1 in the first and 2 in the others.
        convs: convolutions per stage of the encoder; one number stands for all.
        decoder_convs: convolutions per stage of the decoder, deepest first.
        norm: ``instance`` or ``batch``.
        norm_eps: of the normalisation.
        slope: of the leaky rectifier.
        bias: whether convolutions have one.
        nonlin_first: rectify before normalising.
        members: networks of this build whose logits are averaged (the folds of a cross-validation).
        input_scale: factor of the image's values.
        input_shift: what is added to them then.
        axes: order in which the network sees the image's axes; empty for the image's own.
        flips: axes, of that order, that the network sees the other way round.
    """
    look = {"norm": norm, "norm_eps": norm_eps, "slope": slope, "bias": bias, "nonlin_first": nonlin_first}
    stages = stages_of(spec, features, kernel_sizes, strides, **look)
    counts, decoder_counts = per_stage(convs, len(features)), per_stage(decoder_convs, len(features) - 1)
    seen = SeenImage(input_scale, input_shift, tuple(axes), tuple(flips))

    def make() -> ConvUNet:
        return ConvUNet(_Encoder(stages, spec.in_channels, counts), stages, decoder_counts)

    return ensemble_of(make, members, spec, stages, seen)
