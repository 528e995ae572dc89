"""What goes with the image of a case: further images of the same grid, and the clinical row.

A shard holds a case's first image under its usual name, and each further one under that name, a slash and the channel's. A network gets the row as
channels of one value each, after the images (:mod:`medkd.models.resnet_with_row`): each column, 0 where it is missing, then for each column whether
it is missing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from data_contracts import Case, Cohort, DataError, Part, Task

#: A clinical row as it was read: a value for each column, None where it is missing.
Row = Mapping[str, float | None]


def channel_key(image: str, number: int, name: str) -> str:
    """Return what a shard calls a channel, of the name of its first image."""
    return image if number == 0 else f"{image}/{name}"


def channel_keys(image: str, held: Sequence[str], task: Task) -> tuple[str, ...]:
    """Return what a shard calls the channels that a task's networks see, in their order.

    Args:
        image: name of the first image in a shard.
        held: names of the channels that the cohort has; none where its cases have one image.
        task: that is asked.

    Raises:
        DataError: ``COHORT_CHANNELS`` when the cohort lacks one.
    """
    if len(task.image_names) == 1 and not held:
        return (image,)  # the only image of a case, whatever it is called
    missing = [name for name in task.image_names if name not in held]
    if missing:
        known = list(held) if held else "one image a case"
        raise DataError(
            "COHORT_CHANNELS",
            f"expected the channels {list(task.image_names)} in the cases, {missing[0]!r} is not there: they have {known}",
        )
    return tuple(channel_key(image, held.index(name), name) for name in task.image_names)


def row_planes(cases: Sequence[Case], task: Task, space: Sequence[int]) -> Tensor:
    """Return the clinical rows as channels, float32 [n, 2 x columns, *space] without memory of its own; no channel where the task asks none.

    Raises:
        DataError: ``COHORT_CLINICAL`` when a case has no such column.
    """
    for case in cases:
        missing = [column for column in task.clinical if column not in case.clinical]
        if missing:
            raise DataError(
                "COHORT_CLINICAL", f"expected the clinical column {missing[0]!r} in every case, {case.case_key} has {sorted(case.clinical)}"
            )
    known = [[case.clinical[column] for column in task.clinical] for case in cases]
    values = torch.tensor([[0.0 if value is None else value for value in row] for row in known], dtype=torch.float32)
    absent = torch.tensor([[float(value is None) for value in row] for row in known], dtype=torch.float32)
    planes = torch.cat([values, absent], 1).reshape(len(cases), task.row_channels, *(1,) * len(space))
    return planes.expand(len(cases), task.row_channels, *space)


def scale_of(rows: Sequence[Row]) -> dict[str, tuple[float, float]]:
    """Return mean and deviation of each column over the rows of training patients, of the values that are there.

    Raises:
        DataError: ``CLINICAL_CONSTANT`` for a column with less than two values that differ: it says nothing, and could not be scaled.
    """
    found: dict[str, tuple[float, float]] = {}
    for column in rows[0] if rows else ():
        values = np.array([value for row in rows if (value := row[column]) is not None])
        if len(values) < 2 or float(values.std()) == 0:
            raise DataError(
                "CLINICAL_CONSTANT",
                f"expected values that differ in the clinical column {column!r} of the training patients, {len(values)} of {len(rows)} rows have one: "
                "leave the column out",
            )
        found[column] = (float(values.mean()), float(values.std()))
    return found


def standardised(row: Row, scale: Mapping[str, tuple[float, float]]) -> dict[str, float | None]:
    """Return a row less the means, in deviations; what is missing stays missing."""
    return {column: None if value is None else (value - scale[column][0]) / scale[column][1] for column, value in row.items()}


def read_row(line: Mapping[str, str], task: Task, table: str) -> dict[str, float | None]:
    """Return the clinical row of a line of a table: numbers, and None where a cell is empty.

    Raises:
        DataError: ``TABLE_COLUMN`` for a column that the table lacks, ``TABLE_NUMBER`` for a cell that is no finite number.
    """
    found: dict[str, float | None] = {}
    for column in task.clinical:
        if column not in line:
            raise DataError(
                "TABLE_COLUMN", f"expected the clinical column {column!r} in {table}, it has {sorted(name for name in line if name)}"
            )
        found[column] = _number(line[column], column, table)
    return found


def with_rows(cohort: Cohort, lines: Sequence[Mapping[str, str]], task: Task, table: str) -> Cohort:
    """Return a cohort with the clinical rows of its cases, standardised on the patients of its training part.

    Args:
        cohort: of as many cases as there are lines, in their order.
        lines: of the table.
        task: names the columns; without any the cohort is returned as it is.
        table: name of the table.

    Raises:
        DataError: ``TABLE_COLUMN``, ``TABLE_NUMBER``, ``CLINICAL_CONSTANT``.
    """
    if not task.clinical:
        return cohort
    rows, training = [read_row(line, task, table) for line in lines], set(cohort.split.parts.get(Part.TRAIN, ()))
    scale = scale_of([row for case, row in zip(cohort.cases, rows, strict=True) if case.case_key in training])
    cases = tuple(case.model_copy(update={"clinical": standardised(row, scale)}) for case, row in zip(cohort.cases, rows, strict=True))
    return cohort.model_copy(update={"cases": cases, "clinical_scale": scale})


def _number(cell: str, column: str, table: str) -> float | None:
    if not cell:
        return None
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        sentence = (
            f"expected numbers, and empty cells where a value is missing, in the clinical column {column!r} of {table}, got {cell[:40]!r}"
        )
        raise DataError("TABLE_NUMBER", sentence)
    return value
