"""The plans of nnU-Net v2 in words of a task: architecture, classes, normalisation, spacing, axes; what has none here is refused or said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from data_contracts import SourceError
from medkd.foreign.found_teacher import unsupported
from medkd.foreign.source_files import SourceFiles

#: Classes of dynamic-network-architectures, own_name, and what they call their blocks.
_BUILDERS = {
    "PlainConvUNet": ("plain_conv_unet", "n_conv_per_stage", "convs"),
    "ResidualEncoderUNet": ("residual_encoder_unet", "n_blocks_per_stage", "blocks"),
}


@dataclass(frozen=True)
class Plans:
    """What plans say of one configuration. Lists of three are in the network's order of axes.

    Attributes:
        name: of the data set and configuration.
        version: of nnU-Net's planner, as far as it is said.
        architecture: class of the network.
        arguments: of it.
        classes: names by channel, background first.
        intensity: how a task scales values.
        window: of a task that maps one.
        scale_and_shift: what a windowed value is multiplied by, and what is added then.
        patch: voxels that are seen at once.
        spacing: mm.
        transpose: order of the file's axes (slice, row, column).
        caveats: what is done in another way here.
    """

    name: str
    version: str
    architecture: str
    arguments: Mapping[str, Any]
    classes: tuple[str, ...]
    intensity: Literal["window", "z_score"]
    window: tuple[float, float] | None
    scale_and_shift: tuple[float, float]
    patch: tuple[int, ...]
    spacing: tuple[float, ...]
    transpose: tuple[int, ...]
    caveats: tuple[str, ...]

    @property
    def builder(self) -> str:
        """Return the name of the network in the catalogue."""
        return _BUILDERS[self.architecture][0]


def read_plans(files: SourceFiles) -> Plans:
    """Return what the plans of a results folder say.

    Raises:
        SourceError: ``SOURCE_INCOMPLETE``, ``SOURCE_UNREADABLE``; ``TEACHER_UNSUPPORTED`` naming what of it cannot be done here.
    """
    plans, dataset = files.fields("plans.json"), files.fields("dataset.json")
    try:
        name, configuration = _configuration(plans, files)
        architecture, arguments = _architecture(configuration, files.name)
        scaled = _intensity(plans, configuration, files.name)
        return Plans(
            name=f"{plans.get('dataset_name', files.root.name)}-{name}",
            version=str(plans.get("plans_name", "")),
            architecture=architecture,
            arguments=arguments,
            classes=_classes(dataset, files.name),
            intensity=scaled[0],
            window=scaled[1],
            scale_and_shift=scaled[2],
            patch=tuple(int(extent) for extent in configuration["patch_size"]),
            spacing=tuple(float(step) for step in configuration["spacing"]),
            transpose=tuple(int(axis) for axis in plans.get("transpose_forward", (0, 1, 2))),
            caveats=tuple(_caveats(configuration)),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        why = f"{type(error).__name__}: {str(error)[:100]}"
        raise SourceError("SOURCE_UNREADABLE", f"expected plans of nnU-Net v2 in plans.json of {files.name}, got {why}") from error


def network_options(plans: Plans) -> dict[str, Any]:
    """Return the options of our builder.

    Raises:
        SourceError: ``TEACHER_UNSUPPORTED``.
    """
    given, (_, source_name, own_name) = plans.arguments, _BUILDERS[plans.architecture]
    stages = int(given["n_stages"])
    norm, slope = _norm(given, plans.name), _slope(given, plans.name)
    options = {
        "features": _each(given["features_per_stage"], stages),
        "kernel_sizes": _flat(given["kernel_sizes"], stages),
        "strides": _flat(given["strides"], stages),
        own_name: _each(given[source_name], stages),
        "decoder_convs": _each(given["n_conv_per_stage_decoder"], stages - 1),
        "norm": norm,
        "norm_eps": float((given.get("norm_op_kwargs") or {}).get("eps", 1e-5)),
        "slope": slope,
        "bias": bool(given.get("conv_bias", False)),
    }
    return {**options, "nonlin_first": True} if given.get("nonlin_first") else options


def _each(value: Any, count: int) -> tuple[int, ...]:
    return (int(value),) * count if isinstance(value, int) else tuple(int(one) for one in value)


def _flat(value: Any, count: int) -> tuple[int, ...]:
    """Return a size for each stage and axis, one after another."""
    rows = [value] * count if isinstance(value, int) else list(value)
    return tuple(int(one) for row in rows for one in ((row,) * 3 if isinstance(row, int) else row))


def _norm(given: Mapping[str, Any], name: str) -> str:
    kind = str(given.get("norm_op", "")).rpartition(".")[2]
    if not kind.startswith(("InstanceNorm", "BatchNorm")) or not (given.get("norm_op_kwargs") or {}).get(
        "affine", kind.startswith("Batch")
    ):
        raise unsupported(name, f"instance or batch normalisation with weights, got {kind or 'none'}: such a network cannot be built here")
    return "instance" if kind.startswith("Instance") else "batch"


def _slope(given: Mapping[str, Any], name: str) -> float:
    kind = str(given.get("nonlin", "")).rpartition(".")[2]
    if kind not in ("LeakyReLU", "ReLU"):
        raise unsupported(name, f"LeakyReLU or ReLU between its layers, got {kind or 'none'}: such a network cannot be built here")
    return float((given.get("nonlin_kwargs") or {}).get("negative_slope", 0.01)) if kind == "LeakyReLU" else 0.0


def _configuration(plans: Mapping[str, Any], files: SourceFiles) -> tuple[str, dict[str, Any]]:
    """Return the configuration that the folder is of, with what it inherits."""
    known = plans["configurations"]
    # nnU-Net names the folder TRAINER__PLANS__CONFIGURATION.
    name = files.root.name.rpartition("__")[2]
    if name not in known:
        whole = [one for one in known if one.startswith("3d")]
        if len(whole) != 1:
            raise SourceError(
                "SOURCE_UNREADABLE",
                f"expected a folder called TRAINER__PLANS__CONFIGURATION with one of {sorted(known)}, got {files.root.name!r}",
            )
        name = whole[0]
    found, seen, at = dict(known[name]), {name}, known[name].get("inherits_from")
    while at is not None and at not in seen:
        seen.add(at)
        found = {**known[at], **found}
        at = known[at].get("inherits_from")
    if found.get("previous_stage"):
        raise unsupported(
            files.name, f"a network that sees the image alone, {name} of the cascade also sees {found['previous_stage']}: import that"
        )
    if len(found.get("patch_size", ())) != 3:
        raise unsupported(files.name, f"a configuration of volumes (3d_fullres, 3d_lowres), {name} sees slices: import a 3d one")
    return name, found


def _architecture(configuration: Mapping[str, Any], name: str) -> tuple[str, dict[str, Any]]:
    described = configuration.get("architecture")
    if described is None:
        return "PlainConvUNet", _older(configuration, name)
    kind = str(described["network_class_name"]).rpartition(".")[2]
    if kind not in _BUILDERS:
        raise unsupported(name, f"one of {sorted(_BUILDERS)}, its plans name {kind!r}: such a network cannot be built here")
    return kind, dict(described["arch_kwargs"])


def _older(configuration: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the arguments in plans from before nnU-Net 2.2, which name no architecture."""
    if configuration.get("UNet_class_name") != "PlainConvUNet":
        raise unsupported(
            name, f"an architecture in its plans, got {configuration.get('UNet_class_name')!r}: write the plans with nnU-Net 2.2 or newer"
        )
    strides = configuration["pool_op_kernel_sizes"]
    base, most = int(configuration["UNet_base_num_features"]), int(configuration["unet_max_num_features"])
    return {
        "n_stages": len(strides),
        "features_per_stage": [min(base * 2**stage, most) for stage in range(len(strides))],
        "kernel_sizes": configuration["conv_kernel_sizes"],
        "strides": strides,
        "n_conv_per_stage": configuration["n_conv_per_stage_encoder"],
        "n_conv_per_stage_decoder": configuration["n_conv_per_stage_decoder"],
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "nonlin": "torch.nn.LeakyReLU",
    }


def _classes(dataset: Mapping[str, Any], name: str) -> tuple[str, ...]:
    labels = {str(label): value for label, value in dataset["labels"].items() if label != "ignore"}
    regions = [label for label, value in labels.items() if isinstance(value, list | tuple)]
    if regions:
        raise unsupported(
            name, f"one class per voxel, its labels are regions that overlap ({', '.join(regions[:3])}): such labels are not supported"
        )
    if len(dataset.get("channel_names") or dataset.get("modality") or {"0": ""}) != 1:
        raise unsupported(
            name, f"one image per case, it sees {len(dataset['channel_names'])} channels: several sequences at once are not supported"
        )
    order = sorted(labels, key=lambda label: int(labels[label]))
    if [int(labels[label]) for label in order] != list(range(len(order))):
        raise unsupported(name, f"labels that count from 0 without a gap, got {sorted(int(value) for value in labels.values())}")
    return tuple(order)


_Scaled = tuple[Literal["window", "z_score"], tuple[float, float] | None, tuple[float, float]]


def _intensity(plans: Mapping[str, Any], configuration: Mapping[str, Any], name: str) -> _Scaled:
    """Return how a task scales values, its window, and what the network does with a windowed value: together what nnU-Net does."""
    (scheme,) = configuration["normalization_schemes"]
    if scheme == "ZScoreNormalization":
        return "z_score", None, (1.0, 0.0)
    if scheme == "RGBTo01Normalization":
        return "window", (0.0, 255.0), (0.5, 0.5)
    if scheme != "CTNormalization":
        raise unsupported(name, f"CT, z-score or 0 to 255 normalisation, its plans say {scheme}: the same numbers cannot be made here")
    held = plans.get("foreground_intensity_properties_per_channel") or plans["foreground_intensity_properties_by_modality"]
    of = held["0"]
    low, high = float(of["percentile_00_5"]), float(of["percentile_99_5"])
    deviation = max(float(of["std"]), 1e-8)
    # A window maps low..high to -1..1; nnU-Net clips alike and brings mean and deviation of the training set to 0 and 1.
    return "window", (low, high), ((high - low) / 2 / deviation, ((high + low) / 2 - float(of["mean"])) / deviation)


def _caveats(configuration: Mapping[str, Any]) -> list[str]:
    said = [
        "Volumes of another spacing are resampled linearly before their values are scaled; nnU-Net scales first and resamples with splines of order 3.",
        "A volume smaller than a patch is padded with its lowest value; nnU-Net pads with 0 after scaling.",
    ]
    if any(configuration.get("use_mask_for_norm") or ()):
        said.append(
            "nnU-Net scaled by the voxels that are not zero and left the others at 0; here the box round them counts, with its zeros."
        )
    return said
