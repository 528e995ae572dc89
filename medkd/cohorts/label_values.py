"""What the values of a label map mean: class indices, or what is surely the same; anything else is refused with the values that were found.

Values are brought to classes where nothing has to be guessed: whole numbers that were stored as floats, 255 for the only class of a
two-class task (as 8-bit masks have it), and the values of a list that names them as the task names its classes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_contracts import DataError, IngestCode, IngestError, Task

_LOG = logging.getLogger("medkd")
#: A float this near to a whole number is that number: slopes of NIfTI headers and resampling in single precision leave less.
WHOLE = 1e-3
FULL = 255


@dataclass(frozen=True)
class ReadLabel:
    """A label map [slice, row, column] of class indices (uint8), and the values that stood in the file with the classes they became."""

    label: NDArray[np.uint8]
    became: Mapping[float, int]


class LabelValues:
    """The values of one folder's label maps.

    Args:
        task: its classes; a classification's masks say lesion or not and keep their values.
        names: value → name, where a list says it.

    Raises:
        DataError: ``LABEL_VALUES`` when the names are some of the task's classes and leave others out.
    """

    def __init__(self, task: Task, names: Mapping[int, str]) -> None:
        self.task = task
        self._names = dict(names)
        self._classes = self._by_name() if task.kind.is_dense else {}
        self._held: dict[float, int] = {}
        self._full: str | None = None
        self._one: str | None = None

    def _by_name(self) -> dict[int, int]:
        """Return value → class where the list names the classes of the task; empty where it has other names (values are then indices)."""
        classes = {_plain(name): index for index, name in enumerate(self.task.classes)}
        found = {value: classes[_plain(name)] for value, name in self._names.items() if value and _plain(name) in classes}
        found = {value: index for value, index in found.items() if index}
        if not found:
            return {}
        missing = [name for index, name in enumerate(self.task.classes) if index and index not in found.values()]
        if missing or len(set(found.values())) != len(found):
            raise DataError(
                "LABEL_VALUES",
                f"expected each of the classes {list(self.task.classes[1:])} once among the labels of the list, it has {self._names}",
            )
        return {0: 0, **found}

    def read(self, values: NDArray[Any]) -> ReadLabel:
        """Return a label map as class indices.

        Raises:
            IngestError: ``UNKNOWN_SEGMENT`` with the values that no class has.
        """
        found = np.unique(values)
        if not np.isfinite(found).all():
            odd_ones = sorted({str(value) for value in found[~np.isfinite(found)]})
            raise IngestError(IngestCode.UNKNOWN_SEGMENT, f"expected label values that are numbers, got {', '.join(odd_ones)}")
        whole = np.rint(found.astype(np.float64))
        odd = np.abs(found.astype(np.float64) - whole) > WHOLE
        became = {float(value): self._class_of(int(number), whole) for value, number in zip(found, whole, strict=True)}
        unknown = sorted({float(value) for value, not_whole in zip(found, odd, strict=True) if not_whole or became[float(value)] is None})
        if unknown:
            raise self._refusal(unknown, found)
        label = np.zeros(values.shape, dtype=np.uint8)
        for value in found:
            label[values == value] = became[float(value)] or 0
        return ReadLabel(label, {value: index for value, index in became.items() if index is not None})

    def _class_of(self, value: int, all_values: NDArray[np.float64]) -> int | None:
        if not self.task.kind.is_dense:
            return value if 0 <= value < 256 else None
        if self._classes:
            return self._classes.get(value)
        if 0 <= value < len(self.task.classes):
            return value
        # 255 beside other values is one of many labels, and may be a region to be ignored.
        alone = set(all_values.tolist()) <= {0.0, float(FULL)}
        return 1 if value == FULL and alone and len(self.task.classes) == 2 else None

    def _refusal(self, unknown: list[float], found: NDArray[Any]) -> IngestError:
        values = self._classes or {index: index for index in range(len(self.task.classes))}
        known = (
            ", ".join(f"{value} ({self.task.classes[index]})" for value, index in values.items()) if self.task.kind.is_dense else "0 to 255"
        )
        called = [
            f"{value:g}" + (f" ({self._names[int(value)]})" if self._names.get(int(value)) and value == int(value) else "")
            for value in unknown
        ]
        more = f" and {len(called) - 9} more" if len(called) > 9 else ""
        held = [float(f"{value:.6g}") for value in found[:9].tolist()]
        return IngestError(
            IngestCode.UNKNOWN_SEGMENT,
            f"expected the label values {known}, got {', '.join(called[:9])}{more}, which no class has (found {held}{' …' if len(found) > 9 else ''})",
            {"values": held},
        )

    def accept(self, case: str, read: ReadLabel) -> None:
        """Note what the values of an accepted case became.

        Raises:
            DataError: ``LABEL_VALUES`` when 255 is the lesion in one case and 1 in another: one of them means something else.
        """
        if not self.task.kind.is_dense:
            return
        for value, index in read.became.items():
            self._held[value] = index
            if round(value) == FULL and not self._classes:
                self._full = self._full or case
            elif index == 1 and not self._classes:
                self._one = self._one or case
        if self._full and self._one and len(self.task.classes) == 2:
            raise DataError(
                "LABEL_VALUES",
                f"expected one value for {self.task.classes[1]!r} in all label maps, it is {FULL} in {self._full!r} and 1 in {self._one!r}; write the same in all",
            )

    def say(self) -> None:
        """Say in the log what was found where values are not the class indices themselves, or a list has other names for them."""
        if not self.task.kind.is_dense:
            return
        changed = any(value != index for value, index in self._held.items())
        other = [name for value, name in self._names.items() if value and not self._classes]
        if not changed and not other:
            return
        shown = [f"{value:.9g} as {self.task.classes[index]}" for value, index in sorted(self._held.items())]
        note = f"; the list calls them {self._names}, the model has other names" if other else ""
        _LOG.warning("label values taken: %s%s", ", ".join(shown[:20]) + (" …" if len(shown) > 20 else ""), note)


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
