"""The images of a study beside the first that a network sees: read on the first's grid by their places in the patient, with nothing moved to fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_contracts import Caveat, DataError, Task, VolumeRef
from medkd.cohorts.on_first import on_first
from medkd.storage.store import Store
from medkd.wording import require_neutral

SEVERAL_IMAGES, IMAGES_OUTSIDE = "SEVERAL_IMAGES", "IMAGES_OUTSIDE"


@dataclass(frozen=True)
class FurtherImages:
    """What a network sees of a study beside its first image.

    Attributes:
        volumes: their records, in the order of the network's channels.
        values: of each, float32 [slice, row, column] of the first's grid.
        unmeasured: share of the first's voxels where one of them was not measured.
    """

    volumes: tuple[VolumeRef, ...] = ()
    values: tuple[NDArray[np.float32], ...] = ()
    unmeasured: float = 0.0


#: Of a network that sees one image.
NO_FURTHER = FurtherImages()


def read_further(first: VolumeRef, further: tuple[VolumeRef, ...], store: Store, task: Task) -> FurtherImages:
    """Read further images on the grid of the first, every byte verified.

    Raises:
        DataError: ``CHANNEL_OUTSIDE`` for one that hardly reaches the first's grid, ``TASK_INPUTS`` for networks that see more or fewer.
    """
    if not further:
        return NO_FURTHER
    if len(task.image_names) != 1 + len(further):
        raise DataError("TASK_INPUTS", f"expected the images {', '.join(task.image_names)} of a study, it has {1 + len(further)} here")
    unmeasured = np.zeros(first.geometry.shape if first.geometry is not None else (), dtype=bool)
    values = []
    for name, volume in zip(task.image_names[1:], further, strict=True):
        read, missing = on_first(volume, first, (name, task.image_names[0]), store)
        unmeasured |= missing
        values.append(read)
    return FurtherImages(further, tuple(values), float(unmeasured.mean()))


def images_caveats(task: Task, volume: VolumeRef, further: FurtherImages) -> tuple[Caveat, ...]:
    """Return which images a network saw of a study, and what they do not share; nothing of a network that sees one."""
    if not further.volumes:
        return ()
    seen = ", ".join(f"{name} ({one.modality})" for name, one in zip(task.image_names, (volume, *further.volumes), strict=True))
    text = f"the model saw {1 + len(further.volumes)} images of the study: {seen}; findings lie on {task.image_names[0]}, and a map is of all of them together."
    found = [Caveat(code=SEVERAL_IMAGES, text=require_neutral(text), severity=1)]
    if further.unmeasured > 0:
        share = max(1, round(100 * further.unmeasured))  # a little is not nothing
        text = f"{share}% of the volume of {task.image_names[0]} was not measured in another image; what is said there rests on values of its edge."
        found.append(Caveat(code=IMAGES_OUTSIDE, text=require_neutral(text), severity=2))
    return tuple(found)
