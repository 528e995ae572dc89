"""A MONAI Bundle: its metadata and the definition of its network, read as data; no expression of it is evaluated."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from data_contracts import NetworkSpec, SourceError, Task, TaskKind, TeacherDescription
from medkd.foreign.bundle_transforms import SeenByBundle, seen_by_bundle
from medkd.foreign.found_teacher import FoundTeacher, built, unsupported
from medkd.foreign.orientation import axes_and_flips, in_our_order
from medkd.foreign.safe_weights import load_exactly, read_state_dict
from medkd.foreign.source_files import SourceFiles
from medkd.models.monai_network import MonaiNetwork, own_name

METADATA = "configs/metadata.json"
#: Where our own bundles say what they were made of; MONAI's schema allows further fields.
OURS = "medkd"
_INFERENCE = ("configs/inference.json", "configs/inference.yaml", "configs/inference.yml", "configs/train.json", "configs/train.yaml")
_WEIGHTS = ("models/model.safetensors", "models/model.pt", "models/model.ts")
_ALLOWED = "monai.networks.nets."
#: Arguments that say channels and dimensions, by the names that MONAI's classes have for them.
_IN, _OUT, _DIMS = ("in_channels", "n_input_channels"), ("out_channels", "num_classes"), ("spatial_dims", "dimensions")


def looks_like_bundle(files: SourceFiles) -> bool:
    """Return whether a folder is a bundle, or holds one alone."""
    return len(list(files.root.rglob("metadata.json"))) > 0


def read_bundle(files: SourceFiles, description: TeacherDescription) -> FoundTeacher:
    """Return the teacher of a bundle.

    Args:
        files: folder with ``configs`` and ``models``, or one that holds it.
        description: what a person says of it; its task and network are above what the bundle says.

    Raises:
        SourceError: ``SOURCE_INCOMPLETE``, ``SOURCE_UNREADABLE``, ``BUNDLE_EXPRESSION`` where an expression would have to be evaluated,
            ``BUNDLE_TARGET`` for a network that is not MONAI's, ``TEACHER_UNSUPPORTED``, ``WEIGHTS_UNSAFE``, ``WEIGHTS_MISMATCH``.
    """
    here = _root(files)
    metadata = here.fields(METADATA)
    weights = next((place for place in _WEIGHTS if (here.root / place).is_file()), _WEIGHTS[1])
    said: dict[str, Any] = {"name": str(metadata.get("name") or here.root.name), "version": str(metadata.get("version", ""))}
    said |= {"authors": str(metadata.get("authors", "")), "licence": str(metadata.get("data_licence") or metadata.get("license") or "")}
    if OURS in metadata and description.task is None:
        spec, task = _own_specification(metadata[OURS], here.name)
        network = built(spec, here.name)
        # What is served is wrapped once more than what was trained.
        load_exactly(network, read_state_dict(here.path(weights), prefix="served.network." if weights.endswith(".ts") else ""), here.name)
        return FoundTeacher("bundle", spec, task, network, **said)
    config = here.fields(next((place for place in _INFERENCE if (here.root / place).is_file()), _INFERENCE[0]))
    seen = seen_by_bundle(config)
    if description.orientation is not None:
        seen = replace(seen, pointing=tuple(description.orientation))
    task = description.task or _task(metadata, seen, here.name)
    spec = network_of_config(config, task, seen, here.name)
    network = built(spec, here.name)
    if not isinstance(network, MonaiNetwork):
        raise TypeError(f"expected a network of MONAI, got {type(network).__name__}")
    state = read_state_dict(here.path(weights), prefix=description.prefix)
    load_exactly(network, state, here.name, lambda name: own_name(network, name))
    return FoundTeacher("bundle", spec, task, network, **said, caveats=seen.caveats)


def _root(files: SourceFiles) -> SourceFiles:
    found = sorted(path.parents[1] for path in files.root.rglob("metadata.json") if path.parent.name == "configs")
    if len(found) != 1:
        raise SourceError("SOURCE_INCOMPLETE", f"expected one bundle with {METADATA} in {files.name}, found {len(found)}; name its folder")
    return files.below(found[0])


def _own_specification(fields: Any, name: str) -> tuple[NetworkSpec, Task]:
    try:
        return NetworkSpec.model_validate(fields["network"]), Task.model_validate(fields["task"])
    except (TypeError, KeyError, ValueError) as error:
        raise SourceError(
            "SOURCE_UNREADABLE", f"expected network and task under {OURS!r} in {METADATA} of {name}, got {str(error)[:100]}"
        ) from error


def network_of_config(config: Mapping[str, Any], task: Task, seen: SeenByBundle, name: str) -> NetworkSpec:
    """Return the specification of ``network_def`` (or ``network``) of a configuration.

    Args:
        config: of the bundle.
        task: of the teacher; its classes must be the network's channels.
        seen: what becomes of an image before the network.
        name: of the bundle, for sentences.

    Raises:
        SourceError: ``BUNDLE_EXPRESSION``, ``BUNDLE_TARGET``, ``TEACHER_UNSUPPORTED``.
    """
    key = next((key for key in ("network_def", "network", "net") if isinstance(config.get(key), Mapping)), None)
    if key is None:
        raise SourceError(
            "SOURCE_INCOMPLETE", f"expected network_def in the inference configuration of {name}, it has none; give --task with monai"
        )
    given = {field: plain_value(value, config, f"{key}.{field}", name) for field, value in config[key].items()}
    target = str(given.pop("_target_", ""))
    if not target.startswith(_ALLOWED) and ("." in target or not target.isidentifier()):
        raise SourceError(
            "BUNDLE_TARGET", f"expected a network of {_ALLOWED}* in {key}.{name}, got {target[:80]!r}; nothing of it was imported"
        )
    given.pop("_meta_", None)
    channels = {fields[0]: next((given.pop(field) for field in fields if field in given), None) for fields in (_IN, _OUT, _DIMS)}
    _require_channels(channels, task, name)
    axes, flips = axes_and_flips(seen.pointing) if task.spatial_dims == 3 else ((), ())
    options: dict[str, Any] = {
        "network": target.removeprefix(_ALLOWED).rpartition(".")[2],
        "arguments": json.dumps(given, sort_keys=True),
        "probe_size": _probe_size(task, axes),
        "input_scale": seen.scale,
        "input_shift": seen.shift,
    }
    options |= {"axes": axes, "flips": flips} if axes or flips else {}
    return NetworkSpec(builder="monai_network", out_channels=len(task.classes), spatial_dims=task.spatial_dims, options=options)


def _probe_size(task: Task, axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(task.image_size[axis] for axis in axes) if axes else tuple(task.image_size)


def _require_channels(given: Mapping[str, Any], task: Task, name: str) -> None:
    if given["in_channels"] not in (None, 1):
        raise unsupported(name, f"one image per case, its network sees {given['in_channels']} channels: several at once are not supported")
    if given["out_channels"] not in (None, len(task.classes)):
        one = given["out_channels"] == 1
        why = "one channel is a probability of its own (sigmoid), which is not supported" if one else "name every channel in the task"
        raise unsupported(
            name, f"{len(task.classes)} channels for the classes {list(task.classes)}, its network has {given['out_channels']}: {why}"
        )
    if given["spatial_dims"] not in (None, task.spatial_dims):
        raise unsupported(name, f"{task.spatial_dims} spatial dimensions as its task says, its network has {given['spatial_dims']}")


def plain_value(value: Any, config: Mapping[str, Any], place: str, name: str, *, depth: int = 0) -> Any:
    """Return a value of a configuration as data: ``@key`` is looked up, an expression is refused.

    Args:
        value: as the file has it.
        config: whole configuration.
        place: of the value, for sentences.
        name: of the bundle.
        depth: references that led here.

    Raises:
        SourceError: ``BUNDLE_EXPRESSION`` for a value that begins with ``$``, or a reference that leads nowhere.
    """
    if isinstance(value, str) and value.startswith(("$", "%")):
        raise _expression(place, name, value)
    if isinstance(value, str) and value.startswith("@"):
        found: Any = config
        for part in value[1:].replace("#", "::").split("::"):
            found = found.get(part) if isinstance(found, Mapping) else None
        if found is None or depth > 16:
            raise _expression(place, name, value)
        return plain_value(found, config, place, name, depth=depth + 1)
    if isinstance(value, Mapping):
        if "_target_" in value:
            raise _expression(place, name, str(value["_target_"]))
        return {key: plain_value(one, config, f"{place}.{key}", name, depth=depth) for key, one in value.items()}
    if isinstance(value, list):
        return [plain_value(one, config, place, name, depth=depth) for one in value]
    return value


def _expression(place: str, name: str, value: str) -> SourceError:
    sentence = f"expected plain values in the network of {name}, {place} is {value[:60]!r}, which would have to be run; nothing was: write the value there"
    return SourceError("BUNDLE_EXPRESSION", sentence)


def _task(metadata: Mapping[str, Any], seen: SeenByBundle, name: str) -> Task:
    try:
        inputs, outputs = (metadata["network_data_format"][side] for side in ("inputs", "outputs"))
        image, pred = next(iter(inputs.values())), next(iter(outputs.values()))
        classes = _classes(pred["channel_def"])
        segments = str(pred.get("type", "image")) == "image"
        shape = list(seen.roi or image["spatial_shape"])
    except (KeyError, TypeError, StopIteration, AttributeError) as error:
        raise SourceError(
            "SOURCE_UNREADABLE", f"expected network_data_format in {METADATA} of {name}, got {error!r}; give --task FILE"
        ) from error
    if not all(isinstance(extent, int) and extent > 1 for extent in shape) or len(shape) not in (2, 3):
        raise unsupported(name, f"the voxels that its network sees at once as numbers, got {shape}: give --task FILE with image_size")
    axes = axes_and_flips(seen.pointing)[0] if len(shape) == 3 else ()
    size = tuple(int(extent) for extent in in_our_order(shape, axes))
    spacing = in_our_order(seen.spacing, axes) if seen.spacing and len(shape) == 3 else None
    return Task(
        kind=TaskKind.SEGMENTATION if segments else TaskKind.CLASSIFICATION,
        classes=classes,
        image_size=size,
        intensity=seen.intensity,
        spacing_mm=None if spacing is None else (spacing[0], spacing[1], spacing[2]),
        overlap=seen.overlap,
        **({} if seen.window is None else {"window": seen.window}),
    )


def _classes(channels: Any) -> tuple[str, ...]:
    items: Sequence[Any] = [channels[key] for key in sorted(channels, key=int)] if isinstance(channels, Mapping) else list(channels)
    return tuple(str(one) for one in items)
