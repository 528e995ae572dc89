"""The U-Net with a residual encoder that nnU-Net v2 plans by its presets ResEnc M, L and XL."""

from __future__ import annotations

from torch import Tensor, nn

from data_contracts import NetworkSpec
from medkd.models._conv_unet import ENCODER as ENCODER
from medkd.models._conv_unet import ConvBlock, ConvStack, ConvUNet, SeenImage, Stages, ensemble_of, per_stage, stages_of

TASKS = frozenset({"segmentation"})
SOURCE = "Isensee et al. 2024 (nnU-Net revisited, 2404.09556); ResidualEncoderUNet of dynamic-network-architectures 0.4"


class _ResidualBlock(nn.Module):
    """Two convolutions beside a skip that is averaged where the block strides (ResNet-D, He et al. 2019)."""

    def __init__(self, of: Stages, channels: tuple[int, int], kernel: tuple[int, ...], stride: tuple[int, ...]) -> None:
        super().__init__()
        once = (1,) * of.dims
        self.conv1 = ConvBlock(of, channels, kernel, stride)
        self.conv2 = ConvBlock(of, (channels[1],) * 2, kernel, once, plain=True)
        self.nonlin2 = nn.LeakyReLU(of.slope)
        pool = nn.AvgPool2d if of.dims == 2 else nn.AvgPool3d
        skip: list[nn.Module] = [pool(stride, stride)] if set(stride) != {1} else []  # type: ignore[arg-type]
        if channels[0] != channels[1]:
            # The projection never has a bias, whatever the others have.
            without = Stages(**{**vars(of), "bias": False})
            skip.append(ConvBlock(without, channels, once, once, plain=True))
        self.skip = nn.Sequential(*skip)

    def forward(self, image: Tensor) -> Tensor:
        """Return features [batch, channels, *grid]."""
        found: Tensor = self.nonlin2(self.conv2(self.conv1(image)) + self.skip(image))
        return found


class _Stage(nn.Module):
    """Residual blocks, the first with a stride."""

    def __init__(self, of: Stages, channels: tuple[int, int], count: int, kernel: tuple[int, ...], stride: tuple[int, ...]) -> None:
        super().__init__()
        once, width = (1,) * of.dims, channels[1]
        more = (_ResidualBlock(of, (width, width), kernel, once) for _ in range(count - 1))
        self.blocks = nn.Sequential(_ResidualBlock(of, channels, kernel, stride), *more)

    def forward(self, image: Tensor) -> Tensor:
        """Return features [batch, channels, *grid]."""
        found: Tensor = self.blocks(image)
        return found


class _Encoder(nn.Module):
    """A convolution, then stages of residual blocks."""

    def __init__(self, of: Stages, channels: int, counts: tuple[int, ...]) -> None:
        super().__init__()
        width = of.features[0]
        self.stem = ConvStack(of, (channels, width), 1, of.kernels[0], (1,) * of.dims)
        inputs = (width, *of.features[:-1])
        self.stages = nn.Sequential(
            *(
                _Stage(of, (before, after), count, kernel, stride)
                for before, after, count, kernel, stride in zip(inputs, of.features, counts, of.kernels, of.strides, strict=True)
            )
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the features of each stage, finest first."""
        found: list[Tensor] = []
        for stage in self.stages:
            found.append(stage(found[-1] if found else self.stem(image)))
        return found


def residual_encoder_unet(
    spec: NetworkSpec,
    *,
    features: tuple[int, ...] = (8, 16, 32),
    kernel_sizes: tuple[int, ...] = (),
    strides: tuple[int, ...] = (),
    blocks: tuple[int, ...] = (1,),
    decoder_convs: tuple[int, ...] = (1,),
    norm: str = "instance",
    norm_eps: float = 1e-5,
    slope: float = 0.01,
    bias: bool = True,
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
        blocks: residual blocks per stage of the encoder; one number stands for all.
        decoder_convs: convolutions per stage of the decoder, deepest first.
        norm: ``instance`` or ``batch``.
        norm_eps: of the normalisation.
        slope: of the leaky rectifier.
        bias: whether convolutions have one.
        members: networks of this build whose logits are averaged (the folds of a cross-validation).
        input_scale: factor of the image's values.
        input_shift: what is added to them then.
        axes: order in which the network sees the image's axes; empty for the image's own.
        flips: axes, of that order, that the network sees the other way round.
    """
    look = {"norm": norm, "norm_eps": norm_eps, "slope": slope, "bias": bias}
    stages = stages_of(spec, features, kernel_sizes, strides, **look)
    counts, decoder_counts = per_stage(blocks, len(features)), per_stage(decoder_convs, len(features) - 1)
    seen = SeenImage(input_scale, input_shift, tuple(axes), tuple(flips))

    def make() -> ConvUNet:
        return ConvUNet(_Encoder(stages, spec.in_channels, counts), stages, decoder_counts)

    return ensemble_of(make, members, spec, stages, seen)
