"""A results folder of nnU-Net v2: its plans become a network and a task, its folds one ensemble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data_contracts import NetworkSpec, SourceError, Task, TaskKind, TeacherDescription
from medkd.foreign.found_teacher import FoundTeacher, built, unsupported
from medkd.foreign.nnunet_plans import Plans, network_options, read_plans
from medkd.foreign.orientation import axes_and_flips, in_our_order
from medkd.foreign.safe_weights import load_exactly, read_content, tensors_of
from medkd.foreign.source_files import SourceFiles

#: Checkpoints of a fold, the one that nnU-Net predicts with first.
_CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_best.pth")


def looks_like_nnunet(files: SourceFiles) -> bool:
    """Return whether a folder holds plans of nnU-Net."""
    return any(files.root.rglob("plans.json"))


def read_nnunet(files: SourceFiles, description: TeacherDescription, folds: Sequence[str] = ()) -> FoundTeacher:
    """Return the teacher of a results folder.

    Args:
        files: the folder of a trainer and a configuration, or one that holds it alone.
        description: what a person says of it: the orientation of the files, a name, a licence.
        folds: that are taken, as their folders call them (``0``, ``all``); empty for all that are there, whose logits are averaged.

    Raises:
        SourceError: ``SOURCE_INCOMPLETE``, ``SOURCE_UNREADABLE``, ``TEACHER_UNSUPPORTED``, ``WEIGHTS_UNSAFE``, ``WEIGHTS_MISMATCH``.
    """
    here = _results(files)
    plans = read_plans(here)
    # nnU-Net reads arrays as (slice, row, column) of the file, whatever way its axes point, and then transposes them.
    pointing = description.orientation or "SAR"
    axes, flips = axes_and_flips([pointing[axis] for axis in plans.transpose])
    chosen = _checkpoints(here, folds)
    contents = [(read_content(path), path) for path in chosen]
    task = _task(plans, axes, _mirrored(contents[0][0]))
    members = len(contents)
    scale, shift = plans.scale_and_shift
    options = {**network_options(plans), "members": members, "input_scale": scale, "input_shift": shift, "axes": axes, "flips": flips}
    spec = NetworkSpec(builder=plans.builder, out_channels=len(plans.classes), spatial_dims=3, options=options)
    network = built(spec, here.name)
    load_exactly(network, _joined([tensors_of(*one) for one in contents]), here.name)
    unsaid = (
        ()
        if description.orientation
        else ("The files that it was trained on are taken to point to right, anterior and superior (RAS): nnU-Net does not say.",)
    )
    return FoundTeacher(
        kind="nnunet",
        spec=spec,
        task=task,
        network=network,
        name=plans.name,
        version=plans.version,
        members=members,
        epochs=max(1, int(_plain(contents[0][0].get("current_epoch"), 1))),
        caveats=(*plans.caveats, *unsaid, *_ensemble(chosen)),
    )


def _results(files: SourceFiles) -> SourceFiles:
    found = sorted(path.parent for path in files.root.rglob("plans.json") if any(path.parent.glob("fold_*")))
    if len(found) != 1:
        names = ", ".join(str(path.relative_to(files.root)) for path in found[:4]) or "none"
        raise SourceError(
            "SOURCE_INCOMPLETE",
            f"expected one folder with plans.json and fold_0 in {files.name}, found {names}; name the folder of one trainer",
        )
    return files.below(found[0])


def _checkpoints(files: SourceFiles, folds: Sequence[str]) -> list[Path]:
    """Return the checkpoint of each fold; the final one, or the best where training did not end."""
    there = {path.name.removeprefix("fold_"): path for path in sorted(files.root.glob("fold_*")) if path.is_dir()}
    unknown = [fold for fold in folds if fold not in there]
    if unknown:
        raise SourceError(
            "SOURCE_INCOMPLETE", f"expected folds among {sorted(there)} of {files.name}, got {unknown[0]!r}; name those that are there"
        )
    # Without a choice the cross-validation is the teacher; a training on all cases stands for itself.
    wanted = list(folds) or [fold for fold in there if fold != "all"] or list(there)
    found = []
    for fold in wanted:
        name = next((name for name in _CHECKPOINTS if (there[fold] / name).is_file()), _CHECKPOINTS[0])
        found.append(files.path(f"fold_{fold}/{name}"))
    return found


def _ensemble(chosen: Sequence[Path]) -> tuple[str, ...]:
    best = sorted(path.parent.name for path in chosen if path.name != _CHECKPOINTS[0])
    said = []
    if len(chosen) > 1:
        names = ", ".join(path.parent.name.replace("_", " ") for path in chosen)
        said.append(f"It is the mean of the logits of {len(chosen)} networks ({names}): it costs as many passes.")
    if best:
        said.append(f"The training of {', '.join(best)} did not end: its best checkpoint was taken.")
    return tuple(said)


def _joined(members: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the weights of an ensemble by our names, of those of its networks by nnU-Net's; heads for deep supervision are left out."""
    found: dict[str, Tensor] = {}
    heads: list[tuple[Tensor, Tensor]] = []
    for place, weights in enumerate(members):
        levels = [int(name.split(".")[2]) for name in weights if name.startswith("decoder.seg_layers.")]
        last = f"decoder.seg_layers.{max(levels, default=0)}."
        if f"{last}weight" not in weights or f"{last}bias" not in weights:
            raise SourceError(
                "WEIGHTS_MISMATCH", f"expected the weights of a U-Net of nnU-Net, they lack {last}weight or its bias; name its folder"
            )
        heads.append((weights[f"{last}weight"], weights[f"{last}bias"]))
        for name, value in weights.items():
            # nnU-Net keeps each layer twice, and the encoder once more within the decoder.
            if ".all_modules." not in name and not name.startswith(("decoder.encoder.", "decoder.seg_layers.")):
                found[f"members.{place}.{name}"] = value
    # The mean of several 1x1 convolutions is one, over the features of all.
    found["head.weight"] = torch.cat([weight for weight, _ in heads], 1) / len(heads)
    found["head.bias"] = torch.stack([bias for _, bias in heads]).mean(0)
    return found


def _mirrored(content: Any) -> tuple[int, ...]:
    axes = content.get("inference_allowed_mirroring_axes") if isinstance(content, Mapping) else None
    return tuple(int(axis) for axis in axes or () if int(axis) in range(3))


def _plain(value: Any, otherwise: int) -> int:
    return int(value) if isinstance(value, int | float) else otherwise


def _task(plans: Plans, axes: tuple[int, ...], mirrored: tuple[int, ...]) -> Task:
    size = tuple(int(extent) for extent in in_our_order(plans.patch, axes))
    spacing = in_our_order(plans.spacing, axes)
    flips = tuple(sorted((axes or (0, 1, 2))[axis] for axis in mirrored))
    if len(size) != 3:
        raise unsupported(
            plans.name, f"a configuration of volumes (3d_fullres, 3d_lowres), got patches of {len(size)} axes: import that one"
        )
    fields: dict[str, Any] = {"intensity": plans.intensity, **({} if plans.window is None else {"window": plans.window})}
    return Task(
        kind=TaskKind.SEGMENTATION,
        classes=plans.classes,
        image_size=(size[0], size[1], size[2]),
        overlap=0.5,
        spacing_mm=(spacing[0], spacing[1], spacing[2]),
        test_time_flips=flips,
        **fields,
    )
