"""From a specification to a network with an anatomy, and back to files."""

from __future__ import annotations

from torch import nn

from data_contracts import ExplanationError, MedkdError, Network, NetworkSpec, RecipeError, Task
from medkd.allocator import keep_freed_memory
from medkd.catalogue import NETWORKS
from medkd.models._merged_classes import with_merged_classes
from medkd.models._tucker import factorised
from medkd.models._widths import narrowed
from medkd.trace import forked_rng, layer_map_of


def specify_network(network: Network, task: Task) -> NetworkSpec:
    """Return the full specification of a recipe's network: channels follow from the task."""
    return NetworkSpec(
        builder=network.builder,
        in_channels=task.in_channels,
        out_channels=len(task.classes),
        spatial_dims=task.spatial_dims,
        options=network.options,
        row_channels=task.row_channels,
    )


def build_network(spec: NetworkSpec, *, seed: int = 0) -> nn.Module:
    """Build the network of a specification with weights drawn under ``seed`` (the global generator is left as it was).

    Raises:
        CatalogueError: unknown builder or option.
        RecipeError: ``RECIPE_NETWORK`` when the options make no network, ``LAYER_WIDTHS`` when what was pruned is not of this network.
        ExplanationError: ``ANATOMY_MISSING`` when the builder names a layer that does not exist.
    """
    build = NETWORKS.bind(spec.builder, spec.options)
    keep_freed_memory()  # here, since whoever trains, predicts or explains has built a network before
    try:
        with forked_rng(seed):
            network: nn.Module = build(spec)
    except MedkdError:
        raise
    except Exception as error:  # builders, and the libraries below them, refuse options in any way
        why = " ".join(str(error).split())[:160]
        raise RecipeError(
            "RECIPE_NETWORK",
            f"expected options that {spec.builder} can be built from, got {dict(spec.options)}: {type(error).__name__}: {why}",
        ) from error
    for module in network.modules():
        # MONAI's blocks hard-code in-place activations in places; tapping the layer before one would return its output.
        if getattr(module, "inplace", False):
            vars(module)["inplace"] = False
    if spec.rank_ratio is not None:
        network = factorised(network, spec.rank_ratio)
    network = with_merged_classes(narrowed(network, spec.layer_widths), spec.class_groups)
    layer_map, known = layer_map_of(network), dict(network.named_modules())
    for layer in (*layer_map.feature_layers, layer_map.cam_layer, layer_map.head, *layer_map.deep_heads):
        if layer not in known:
            raise ExplanationError("ANATOMY_MISSING", f"expected builder {spec.builder!r} to name layers it has, {layer!r} is not one")
    return network


def parameter_count(network: nn.Module) -> int:
    """Return the number of trainable and frozen parameters."""
    return sum(parameter.numel() for parameter in network.parameters())
