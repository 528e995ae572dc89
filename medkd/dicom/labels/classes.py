"""From the structures of all labels of a volume to the classes of a recipe.

A structure's class is what the recipe says of the most specific name that it lists; where structures overlap, the smaller one wins, of
equal ones the later class. What belongs to the first class (background) is left out: it takes no voxel from anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_contracts import IngestCode, IngestError, LabelRef, Segment
from medkd.dicom.labels.bound import Mask, paint, paint_order
from medkd.dicom.labels.names import normal_name, structure_key
from medkd.storage.store import Store

#: Under ``segments``: every structure that nothing else names.
ANY = "*"


@dataclass(frozen=True)
class Structure:
    """One structure of one label, and its voxels bool [slice, row, column]."""

    segment: Segment
    source: str
    mask: Mask


@dataclass(frozen=True)
class ClassChooser:
    """Finds the class of a structure by any of its names.

    Attributes:
        classes: of the task, background first.
        segments: of the recipe: name, code, meaning or type → class.
        secret: of the site: names that may not be said are compared by their pseudonyms.
    """

    classes: tuple[str, ...]
    segments: Mapping[str, str]
    secret: bytes
    _mapped: dict[str, int] = field(default_factory=dict, repr=False)
    _alike: dict[str, int] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Key every name once."""
        index = {normal_name(name): place for place, name in enumerate(self.classes)}
        for name, wanted in self.segments.items():
            self._mapped[structure_key(self.secret, name)] = index[normal_name(wanted)]
        for name, place in index.items():
            self._alike[structure_key(self.secret, name)] = place

    def class_of(self, segment: Segment) -> int:
        """Return the index of a structure's class.

        Raises:
            IngestError: ``UNKNOWN_SEGMENT`` when none of its names is listed or is a class.
        """
        said = (segment.name, segment.label, segment.code, segment.kind)
        keys = (*segment.keys, *(structure_key(self.secret, text) for text in said if text))
        for key in keys:
            for known in (self._mapped, self._alike):
                if key in known:
                    return known[key]
        other = self._mapped.get(structure_key(self.secret, ANY))
        if other is not None:
            return other
        message = (
            f"expected a segment among {self.classes}, got {segment.name!r}; map it under segments, or all others by '{ANY}': background"
        )
        raise IngestError(IngestCode.UNKNOWN_SEGMENT, message, {"segment": segment.name})


@dataclass(frozen=True)
class Combined:
    """Class indices uint8 [slice, row, column], and what they were made of."""

    label: NDArray[np.uint8]
    summary: dict[str, Any]


def read_structures(label: LabelRef, store: Store) -> list[Structure]:
    """Return the structures of a stored label that hold a voxel, each with its own mask where they overlap."""
    arrays = {name: tensor.numpy() for name, tensor in store.read_tensors(label.array).items()}
    masks = {segment.value: arrays.get(f"segment/{segment.value}") for segment in label.segments}
    found = [
        Structure(segment, label.source, arrays["label"] == segment.value if (mask := masks[segment.value]) is None else mask > 0)
        for segment in label.segments
    ]
    return [structure for structure in found if structure.mask.any()]


def combine_classes(structures: Sequence[Structure], chooser: ClassChooser, shape: tuple[int, ...]) -> Combined:
    """Return one map of classes of the structures of all labels of a volume.

    Raises:
        IngestError: ``UNKNOWN_SEGMENT``.
    """
    classes = [chooser.class_of(structure.segment) for structure in structures]
    # Structures are numbered from 1: 0 is nobody's voxel.
    masks = {number: structure.mask for number, structure in enumerate(structures, start=1) if classes[number - 1]}
    voxels = {number: int(np.count_nonzero(mask)) for number, mask in masks.items()}
    label: NDArray[np.uint8] = np.zeros(shape, dtype=np.uint8)
    overlaps: list[tuple[int, int, int]] = []
    if masks:
        owner, overlaps = paint(masks, paint_order(voxels, {number: classes[number - 1] for number in masks}))
        label = np.array([0, *classes], dtype=np.uint8)[owner]
    named = {number: structure.segment.name for number, structure in enumerate(structures, start=1)}
    summary = {
        "structures": [
            {
                "name": structure.segment.name,
                "class": chooser.classes[place],
                "voxels": int(np.count_nonzero(structure.mask)),
                "source": structure.source,
            }
            for structure, place in zip(structures, classes, strict=True)
        ],
        "overlaps": [{"winner": named[winner], "loser": named[loser], "voxels": count} for winner, loser, count in overlaps],
    }
    return Combined(label, summary)
