"""What of a student's components the teacher marks too, and what the teacher marks alone."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from data_contracts import Geometry, Lesion
from medkd.explanation.standing import LEAST_SHARED
from medkd.inference.lesions import find_lesions
from medkd.measures.dice import dice

Component = tuple[Lesion, Tensor, int]


@dataclass(frozen=True)
class Likeness:
    """How far a component is marked by somebody else too: the share of its voxels, and Dice to what it touches."""

    share: float
    dice: float


def parts_of(mask: Tensor) -> Tensor:
    """Return the components of a mask [slice, row, column] as numbers from 1, int32; 0 is outside."""
    labelled, _ = ndimage.label((mask > 0).numpy(), structure=np.ones((3, 3, 3), dtype=np.uint8))
    return torch.from_numpy(labelled.astype(np.int32))


def likeness_of(region: Tensor, parts: Tensor) -> Likeness:
    """Return how far a component [slice, row, column] is marked in another mask of its class, given as its parts.

    Dice is to those parts of the other mask that the region touches: a second lesion elsewhere does not lower it.
    """
    inside = region > 0
    share = _share(region, parts)
    there = torch.isin(parts, parts[inside & (parts > 0)].unique())
    return Likeness(share, float(dice(inside[None], there[None])[0]))


def _share(region: Tensor, other: Tensor) -> float:
    inside = region > 0
    return float((inside & (other > 0)).sum() / inside.sum())


def agreed_first(found: Iterable[Component], teacher: Mapping[int, Tensor]) -> list[Component]:
    """Return components in the order of a report: what the teacher marks too, then the rest; the larger first in each.

    Args:
        found: the student's components with their mask and class index.
        teacher: its mask per class index; empty where there is no teacher, and then size alone counts.
    """

    def alone(component: Component) -> bool:
        _, region, index = component
        return index in teacher and _share(region, teacher[index]) < LEAST_SHARED

    return sorted(found, key=lambda component: (alone(component), -component[0].voxels))


def missed_by_student(
    student: Mapping[int, Tensor], teacher: Mapping[int, Tensor], names: Sequence[str], geometry: Geometry | None, *, smallest: int
) -> tuple[Lesion, ...]:
    """Return the teacher's components where the student marks (nearly) nothing of their class, largest first.

    Args:
        student: its mask per class index.
        teacher: the teacher's, of the same classes.
        names: of the classes, by index.
        geometry: of the masks; None of a picture.
        smallest: components of fewer voxels are left out.
    """
    missed = []
    for index, mask in teacher.items():
        # Measured are those that count: a teacher may mark hundreds of components that the student marks too.
        alone = functools.partial(_is_missed, student[index])
        found = find_lesions(mask, geometry, class_name=names[index], smallest=smallest, wanted=alone)
        missed += [lesion for lesion, _ in found]
    missed.sort(key=lambda lesion: -lesion.voxels)
    return tuple(lesion.model_copy(update={"tracking_id": f"teacher-{number}"}) for number, lesion in enumerate(missed, 1))


def _is_missed(marked: Tensor, region: Tensor) -> bool:
    return _share(region, marked) < LEAST_SHARED
