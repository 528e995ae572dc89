"""What a MONAI Bundle says of itself: its metadata, and how it is run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data_contracts import Checkpoint, ModelCard, ModelRef, TaskKind

#: The schema that MONAI's `verify_metadata` validates against; it is MONAI's, and none of it comes with medkd.
SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
INTENDED_USE = "Research use only. Not a medical device. No clinical claim is made."


def bundle_metadata(model: ModelRef, checkpoint: Checkpoint, card: ModelCard | None, versions: Mapping[str, str]) -> dict[str, Any]:
    """Return ``metadata.json``: versions of libraries, use, data with their licence, and what goes into the network and comes out.

    Args:
        model: the registered version.
        checkpoint: its checkpoint.
        card: its card; without one nothing is said of the data.
        versions: of the libraries, by the names of their packages.
    """
    task, number = checkpoint.task, f"0.0.{model.version}"
    segments, data = task.kind is TaskKind.SEGMENTATION, None if card is None else card.data
    what = "segmentation" if segments else "classification"
    return {
        "schema": SCHEMA,
        "version": number,
        "changelog": {number: f"exported from {model.uri}, manifest {model.manifest_digest[:12]}"},
        "monai_version": versions["monai"],
        "pytorch_version": versions["torch"],
        "numpy_version": versions["numpy"],
        "required_packages_version": {name: versions[name] for name in ("nibabel", "pillow", "fire")},
        "supported_apps": {},
        "name": model.name,
        "task": f"{what}: {', '.join(task.classes)}",
        "description": f"A {model.role.value} network ({checkpoint.network.builder}, {checkpoint.parameters:,} parameters) trained by medkd.",
        "authors": "medkd developers",
        "copyright": "Copyright (c) medkd developers; Apache-2.0. Weights follow the licence of their training data.",
        "intended_use": INTENDED_USE,
        "data_source": "not said by the model's card" if data is None else f"{data.name}; {data.address}; {data.attribution}",
        "data_licence": "not said by the model's card" if data is None else data.licence,
        "data_type": "nibabel" if task.spatial_dims == 3 or segments else "png",
        "image_classes": _intensity(checkpoint),
        "label_classes": _channels(task.classes),
        "pred_classes": f"{len(task.classes)} channels of logits, the highest decides",
        # What medkd builds the network again from: whoever imports the bundle needs no code but medkd's.
        "medkd": {"network": checkpoint.network.model_dump(mode="json"), "task": task.model_dump(mode="json")},
        "network_data_format": {"inputs": {"image": _input(checkpoint, card)}, "outputs": {"pred": _output(checkpoint)}},
    }


def _intensity(checkpoint: Checkpoint) -> str:
    task = checkpoint.task
    if task.intensity == "window":
        return f"one channel, stored values {task.window[0]:g} to {task.window[1]:g} scaled to [-1, 1]"
    if task.intensity == "z_score":
        return "one channel, mean 0 and deviation 1 of the box round what is not zero"
    return "one channel, clipped to percentiles 0.5 and 99.5, then mean 0 and deviation 1"


def _channels(classes: tuple[str, ...]) -> str:
    return ", ".join(f"{place}: {name}" for place, name in enumerate(classes))


def _input(checkpoint: Checkpoint, card: ModelCard | None) -> dict[str, Any]:
    task = checkpoint.task
    domain = checkpoint.domain
    modality = card.data.modality if card is not None and card.data is not None else ", ".join(domain.modalities) if domain else ""
    hounsfield = domain is not None and domain.units == ("HU",)
    return {
        "type": "image",
        "format": "hounsfield" if hounsfield else "magnitude",
        "modality": modality or "n/a",
        "num_channels": 1,
        "spatial_shape": list(task.image_size),
        "dtype": "float32",
        "value_range": [-1, 1] if task.intensity == "window" else [],
        "is_patch_data": task.spatial_dims == 3,
        "channel_def": {"0": "image"},
    }


def _output(checkpoint: Checkpoint) -> dict[str, Any]:
    task = checkpoint.task
    segments = task.kind is TaskKind.SEGMENTATION
    return {
        "type": "image" if segments else "probabilities",
        "format": "segmentation" if segments else "classes",
        "num_channels": len(task.classes),
        "spatial_shape": list(task.image_size) if segments else [len(task.classes)],
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": segments and task.spatial_dims == 3,
        "channel_def": {str(place): name for place, name in enumerate(task.classes)},
    }


def bundle_readme(model: ModelRef, checkpoint: Checkpoint, card: ModelCard | None) -> str:
    """Return ``docs/README.md``: what the bundle is, how it is run and verified, what it leaves out."""
    task = checkpoint.task
    segments = task.kind is TaskKind.SEGMENTATION
    files = "NIfTI files" if segments or task.spatial_dims == 3 else "PNG or JPEG pictures"
    given = (
        "`NAME_seg.nii.gz`, the class of every voxel, and `NAME_class_map.nii.gz`, a channel per class: the evidence for it at each voxel, in logits"
        if segments
        else "a line of JSON for each file, also in `answers.json`, and `NAME_class_map.npy`, a map for each class on the network's grid, in logits"
    )
    data = None if card is None else card.data
    source = (
        "The model's card does not say where its training data come from."
        if data is None
        else _data(data.name, data.licence, data.attribution)
    )
    return f"""# {model.name}

**{INTENDED_USE}**

{model.uri} of medkd, manifest {model.manifest_digest}, as a MONAI Bundle. {source}

## Run it

Put {files} into `input/` and run, in this folder:

    pip install fire==0.7.1
    python -m monai.bundle run --config_file configs/inference.json --bundle_root .

`--dataset_dir` and `--output_dir` name other folders. In `output/` lie {given}. medkd need not be installed.

## Verify it

    python -m monai.bundle verify_net_in_out network --meta_file configs/metadata.json --config_file configs/inference.json --device cpu
    python -m monai.bundle verify_metadata --meta_file configs/metadata.json --filepath schema.json

The second one downloads MONAI's schema; where there is no network, put the schema at `schema.json` first and nothing is downloaded.

## What it does

{_intensity(checkpoint)}. {_geometry(checkpoint)} `models/model.ts` is TorchScript; there is no `model.pt`, which would be a pickle and need medkd's code.

Classes: {_channels(task.classes)}. Probabilities are softmax outputs: a calibration of the version is not part of the bundle, nor are findings, measures,
tests of maps and the report, which `medkd run-study` makes.
"""


def _data(name: str, licence: str, attribution: str) -> str:
    return f"Trained on {name}, licence {licence}. {attribution}"


def _geometry(checkpoint: Checkpoint) -> str:
    task = checkpoint.task
    if task.spatial_dims == 2:
        return f"Pictures of {task.image_size[0]} x {task.image_size[1]} pixels."
    spacing = "the spacing of the file" if task.spacing_mm is None else f"{' x '.join(f'{step:g}' for step in task.spacing_mm)} mm"
    size = " x ".join(map(str, task.image_size))
    if task.kind is TaskKind.SEGMENTATION:
        return f"Axes along the patient's, {spacing}; windows of {size} voxels, overlap {task.overlap:g}, Gaussian weights; logits are brought back to the file's voxels."
    return f"Axes along the patient's, {spacing}; the network sees the {size} voxels in the middle."
