"""A plain file of weights, whose network and task a person names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from data_contracts import NetworkSpec, SourceError, Task, TeacherDescription
from medkd.foreign.found_teacher import FoundTeacher, built, unsupported
from medkd.foreign.orientation import axes_and_flips
from medkd.foreign.safe_weights import load_exactly, read_state_dict
from medkd.foreign.source_files import SourceFiles
from medkd.models._build import specify_network
from medkd.models.monai_network import MonaiNetwork, own_name
from medkd.yaml_text import YamlRefused, read_yaml


def read_description(path: Path | None) -> TeacherDescription:
    """Return what the file of ``--task`` says; nothing without one.

    Raises:
        SourceError: ``TASK_FILE_UNREADABLE``, naming the first field that is wrong.
    """
    if path is None:
        return TeacherDescription()
    try:
        fields = read_yaml(path)
        return TeacherDescription.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        why = f"{place}: {first['msg']}"
        raise SourceError("TASK_FILE_UNREADABLE", f"expected the description of a teacher in {path.name}, got {why}") from error
    except (YamlRefused, OSError) as error:
        raise SourceError(
            "TASK_FILE_UNREADABLE", f"expected the description of a teacher at {path.name}, got {str(error)[:200]}"
        ) from error


def read_plain(files: SourceFiles, description: TeacherDescription) -> FoundTeacher:
    """Return the teacher of a file of weights.

    Args:
        files: folder of the file; its name is the source's.
        description: its task, and its network in the catalogue or in MONAI.

    Raises:
        SourceError: ``TASK_MISSING`` where the description lacks either, ``WEIGHTS_UNSAFE``, ``WEIGHTS_UNREADABLE``, ``WEIGHTS_MISMATCH``,
            ``TEACHER_UNSUPPORTED``.
    """
    task = description.task
    if task is None or (description.network is None and description.monai is None):
        raise SourceError(
            "TASK_MISSING",
            f"expected --task FILE with task and with network or monai for the weights in {files.name}: they do not say what they are of",
        )
    spec = described_network(description, task)
    network = built(spec, files.name)
    weights = read_state_dict(files.path(files.name), prefix=description.prefix)
    if isinstance(network, MonaiNetwork):
        monai = network
        load_exactly(network, weights, files.name, lambda name: own_name(monai, name))
    else:
        load_exactly(network, weights, files.name)
    return FoundTeacher("state-dict", spec, task, network, name=Path(files.name).stem)


def described_network(description: TeacherDescription, task: Task) -> NetworkSpec:
    """Return the specification of the network that a description names.

    Raises:
        SourceError: ``TEACHER_UNSUPPORTED`` for axes or a scale that the network cannot take.
    """
    axes, flips = axes_and_flips(description.orientation or "SAR") if task.spatial_dims == 3 else ((), ())
    seen: dict[str, Any] = {"axes": axes, "flips": flips} if axes or flips else {}
    if (description.input_scale, description.input_shift) != (1.0, 0.0):
        seen |= {"input_scale": description.input_scale, "input_shift": description.input_shift}
    if description.network is not None:
        from medkd.catalogue import NETWORKS

        lacking = sorted(set(seen) - set(NETWORKS.entry(description.network.builder).options()))
        if lacking:
            raise unsupported(
                description.network.builder,
                f"the options {lacking}, which orientation or input_scale ask for: name the network under monai",
            )
        spec = specify_network(description.network, task)
        return spec.model_copy(update={"options": {**spec.options, **seen}})
    if description.monai is None:
        raise TypeError("expected a network in the description")
    probe = tuple(task.image_size[axis] for axis in axes) if axes else tuple(task.image_size)
    options = {
        "network": description.monai.name,
        "arguments": json.dumps(description.monai.arguments, sort_keys=True),
        "probe_size": probe,
        **seen,
    }
    return NetworkSpec(builder="monai_network", out_channels=len(task.classes), spatial_dims=task.spatial_dims, options=options)
