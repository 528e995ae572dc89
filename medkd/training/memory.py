"""What a recipe takes of the memory, counted before anything is computed: networks on torch's meta device, which holds shapes and no bytes.

The figures are lower bounds: weights, gradients, both moments of AdamW and averaged weights; what a training step keeps for its way
back; the arrays of the largest cohort. What is refused could not have worked.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from data_contracts import ImageFolderData, PhantomData, Recipe, RecipeError, Role, TrainingConfig, VolumeFolderData
from medkd.cohorts.case_table import read_lines
from medkd.cohorts.dataset_list import read_dataset
from medkd.cohorts.folder_names import VOLUME_SUFFIXES, files_by_identifier, require_inside
from medkd.memory_need import available_bytes, require_memory, shown
from medkd.models._build import build_network, parameter_count
from medkd.training.recipes import network_spec

#: An image in float32, its mask and where it is valid.
BYTES_PER_PIXEL = 6
#: An image in float32 and its label map.
BYTES_PER_VOXEL = 5


def require_training_memory(recipe: Recipe, data_root: Path) -> None:
    """Refuse a recipe whose networks or cohort the memory of this machine cannot hold.

    A GPU's memory is not asked about: it may be another machine's. A cohort of DICOM is known after its ingestion only.

    Args:
        recipe: bound recipe.
        data_root: folder that ``data.path`` is relative to.

    Raises:
        RecipeError: ``RECIPE_NETWORK`` when a network cannot be built from its options, ``RECIPE_INVALID`` for an image without pixels.
        MissingDependencyError: ``MEMORY_TOO_SMALL`` with what is needed and what is free.
    """
    if not all(extent >= 1 for extent in recipe.task.image_size):
        raise RecipeError("RECIPE_INVALID", f"expected extents of 1 or more in task.image_size, got {recipe.task.image_size}")
    cases = cohort_bytes(recipe, data_root)
    require_memory(cases, f"the cases of {recipe.name}")
    free = available_bytes()
    # Each further teacher is counted as the recipe's teacher would be; a registered one is not trained.
    with_teacher = [recipe, *(recipe.model_copy(update={"teacher": one}) for one in recipe.teachers.values())]
    taught = [one for one in with_teacher if one.teacher.registered is None]
    trained = [(one, Role.TEACHER, one.teacher.fit) for one in taught] + [(recipe, Role.STUDENT, recipe.student.fit)]
    for one, role, fit in trained:
        if free is not None and _is_plain(one, role) and most_bytes(one, role, fit) + cases < free // 2:
            continue  # to count it exactly takes seconds of imports
        needed, parameters = training_bytes(one, role, fit)
        what = f"{recipe.name}'s {role.value} of {parameters:,} parameters in training, batches of {fit.batch_size}"
        require_memory(needed + cases, f"{what} ({shown(needed)}), and its cases ({shown(cases)}),")


def _numbers(recipe: Recipe, role: Role) -> list[float]:
    """Return the numbers among the options of a role's network."""
    options = network_spec(recipe, role).options
    numbers = [item for value in options.values() for item in (value if isinstance(value, tuple | list) else (value,))]
    return [number for number in numbers if isinstance(number, int | float) and not isinstance(number, bool)]


def _is_plain(recipe: Recipe, role: Role) -> bool:
    """Return whether options and image are such as networks are surely made from; others are tried before anything is computed."""
    return all(number >= 0 for number in _numbers(recipe, role)) and all(extent >= 8 for extent in recipe.task.image_size)


def most_bytes(recipe: Recipe, role: Role, fit: TrainingConfig) -> int:
    """Return more bytes than training a role's network takes, from the numbers among its options; no network is built.

    Sixty maps of the widest layer at full size, and ten layers of the widest kind at each of the widths.
    """
    widths = [int(abs(number)) for number in _numbers(recipe, role)] or [1024]
    widest = max(64, *widths)
    own = widest**2 * 27 * 4 * 5 * 10 * len(widths) * fit.processes
    return fit.batch_size * math.prod(recipe.task.image_size) * widest * 4 * 60 + own


def training_bytes(recipe: Recipe, role: Role, fit: TrainingConfig) -> tuple[int, int]:
    """Return the bytes that training a role's network takes at least, and its number of parameters.

    Raises:
        RecipeError: ``RECIPE_NETWORK``.
    """
    spec = network_spec(recipe, role)
    # Tensors of this device have shapes and no bytes: a network that is too large can be counted.
    with torch.device("meta"):
        network = build_network(spec)
    parameters = parameter_count(network)
    # Several processes hold a network each and share the batch.
    kept = parameters * 4 * (4 + (fit.ema is not None)) * fit.processes
    return kept + _step_bytes(
        network, (fit.batch_size, spec.in_channels, *recipe.task.image_size), half=fit.precision == "bf16"
    ), parameters


def _step_bytes(network: nn.Module, shape: tuple[int, ...], *, half: bool) -> int:
    """Return the bytes of a batch and of what its forward pass keeps for the backward pass; the batch alone where that cannot be told."""
    batch = math.prod(shape) * 4
    own = {parameter.untyped_storage()._cdata for parameter in network.parameters()}
    seen: dict[int, int] = {}
    alive: list[Any] = []

    def note(tensor: Any) -> Any:
        place = tensor.untyped_storage()._cdata
        if place not in own and place not in seen:
            alive.append(tensor)  # a storage that is let go may lend its place to another
            seen[place] = tensor.untyped_storage().nbytes()
        return tensor

    try:
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            network.train()(torch.zeros(shape, device="meta"))
    except Exception:  # not every operation can be done without numbers; what cannot is not counted
        return batch
    # Under autocast part of it has half the bytes.
    return batch + sum(seen.values()) // (2 if half else 1)


def cohort_bytes(recipe: Recipe, data_root: Path) -> int:
    """Return the bytes of the arrays of the recipe's largest cohort, as far as it is known before the import.

    Raises:
        SourceError, DataError: as the readers of tables and lists.
    """
    data, pixels = recipe.data, math.prod(recipe.task.image_size)
    if isinstance(data, PhantomData):
        sizes = (data.teacher, data.student + data.unlabelled, data.test, data.debiased, data.reversed, 2 * data.marker_pairs)
        return max(sizes) * pixels * BYTES_PER_PIXEL
    if isinstance(data, ImageFolderData):
        root = require_inside(data_root, data.path, "the recipe")
        return len(read_lines(require_inside(root, data.table, "the recipe"))) * pixels * BYTES_PER_PIXEL
    if isinstance(data, VolumeFolderData):
        root = require_inside(data_root, data.path, "the recipe")
        return sum(list(_voxels(root, data))[: data.most]) * BYTES_PER_VOXEL
    return 0


def _voxels(root: Path, data: VolumeFolderData) -> Iterator[int]:
    """Yield the voxels of all images of each case that the headers promise; what cannot be read is left to the import."""
    if data.dataset is not None:
        cases = [(pair.image, *pair.further) for pair in read_dataset(root, data.dataset).pairs]
    else:
        folders = tuple(data.channels.values()) or (data.images,)
        held = files_by_identifier(require_inside(root, data.images, "the recipe"), VOLUME_SUFFIXES)
        cases = [tuple(f"{folder}/{name}" for folder in folders) for files in held.values() for name in files]
    for names in cases:
        promised = _promised(root / name for name in names)
        if promised is not None:
            yield promised


def _promised(images: Iterable[Path]) -> int | None:
    import nibabel

    try:
        opened: list[Any] = [nibabel.load(path) for path in images]
        return sum(math.prod(int(extent) for extent in image.shape) for image in opened)
    except Exception:  # whatever a header can do to a reader; the import says what is wrong with it
        return None
