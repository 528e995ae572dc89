"""Vision transformer whose head reads the mean of its tokens: class maps are closed-form, attention can be rolled out."""

from __future__ import annotations

from torch import Tensor, nn

from data_contracts import NetworkSpec
from medkd.trace import LayerMap, with_layer_map

TASKS = frozenset({"classification"})
#: Its layers put out attention matrices: what attention rollout asks for.
ATTENTION = True
SOURCE = "Dosovitskiy et al. 2021 (2010.11929), mean of the tokens instead of a class token (Beyer et al. 2022, 2205.01580); MONAI ViT"


class HeadedViT(nn.Module):
    """MONAI's ViT, its last tokens laid out on the grid of patches, averaged, and a linear head without bias."""

    def __init__(self, trunk: nn.Module, grid: tuple[int, ...], head: nn.Module) -> None:
        super().__init__()
        self.trunk, self.features, self.head = trunk, nn.Identity(), head
        self.grid = grid

    def forward(self, image: Tensor) -> Tensor:
        """Return logits [batch, classes] of an image [batch, channel, *space] of the size it was built for."""
        tokens, _ = self.trunk(image)
        features = self.features(tokens.transpose(1, 2).unflatten(2, self.grid))
        logits: Tensor = self.head(features.flatten(2).mean(2))
        return logits


def vit(
    spec: NetworkSpec,
    *,
    image_size: tuple[int, ...] = (32,),
    patch: int = 8,
    width: int = 48,
    layers: int = 4,
    heads: int = 4,
) -> nn.Module:
    """Build a vision transformer for images of one size.

    Args:
        spec: channels in and out, spatial dimensions.
        image_size: voxels along each axis (one number stands for all); must divide by ``patch``.
        patch: voxels of a token along each axis.
        width: of the tokens; must divide by ``heads``.
        layers: transformer blocks.
        heads: of each block.

    Logits are [batch, classes]; ``features`` is [batch, width, *patches] and feeds the head through the global average.
    """
    from monai.networks.nets import ViT  # seconds to import: paid where a network is built, not where a recipe is read

    size = tuple(image_size) * (spec.spatial_dims if len(image_size) == 1 else 1)
    trunk = ViT(
        in_channels=spec.in_channels,
        img_size=size,
        patch_size=(patch,) * spec.spatial_dims,
        hidden_size=width,
        mlp_dim=2 * width,
        num_layers=layers,
        num_heads=heads,
        spatial_dims=spec.spatial_dims,
    )
    for block in trunk.blocks:
        # MONAI's block holds what attention to another image would need, and never uses it without one.
        block.norm_cross_attn = nn.Identity()
    network = HeadedViT(trunk, tuple(extent // patch for extent in size), nn.Linear(width, spec.out_channels, bias=False))
    attention = tuple(f"trunk.blocks.{index}.attn.drop_weights" for index in range(layers))
    return with_layer_map(network, LayerMap(feature_layers=("features",), cam_layer="features", head="head", attention=attention))
