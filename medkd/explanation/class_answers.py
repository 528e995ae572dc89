"""What a classifier answers about a study: runs of neighbouring slices with one answer, or one about a volume. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from data_contracts import ClassAnswer


def answers_of(
    probability: Mapping[str, NDArray[np.float32]], names: Sequence[str], marked: NDArray[np.uint8], *, whole: bool
) -> tuple[ClassAnswer, ...]:
    """Return the answers: where something is marked first, the longest first in each.

    Args:
        probability: of every network by role, [picture, class]; ``student`` is the one that answers.
        names: of the classes.
        marked: what a map should lie on, [slice, row, column].
        whole: the one picture is a patch of a volume, and its answer one about all slices.
    """
    own, found = probability["student"], []
    for first, last in runs_of(own.argmax(1)):
        index = int(own[first].argmax())
        # Of a volume the one picture is the patch in its middle: all slices, the middle one to look at.
        span = (0, len(marked) - 1) if whole else (first, last)
        key = span[1] // 2 if whole else first + int(own[first : last + 1, index].argmax())
        means = {
            role: {name: float(v) for name, v in zip(names, of[first : last + 1].mean(0), strict=True)} for role, of in probability.items()
        }
        found.append((span, key, index, means))
    found.sort(key=lambda item: (not bool(marked[item[0][0] : item[0][1] + 1].any()), item[0][0] - item[0][1]))
    return tuple(
        ClassAnswer(
            number=number,
            class_name=names[index],
            probability=means["student"][names[index]],
            first_slice=span[0],
            last_slice=span[1],
            key_slice=key,
            probabilities=means["student"],
            teacher_probabilities=means.get("teacher", {}),
        )
        for number, (span, key, index, means) in enumerate(found, 1)
    )


def runs_of(values: NDArray[np.intp]) -> list[tuple[int, int]]:
    """Return first and last place of every run of equal values, [n]."""
    ends = [*np.flatnonzero(np.diff(values)).tolist(), len(values) - 1]
    return list(zip([0, *(end + 1 for end in ends[:-1])], ends, strict=True))


def explained_slices(answer: ClassAnswer, most: int | None) -> tuple[int, int]:
    """Return first slice, and last plus one, of an answer that are explained: all, or the ``most`` nearest to its key slice."""
    first, end = answer.first_slice, answer.last_slice + 1
    if most is None:
        return first, end
    first = max(first, min(answer.key_slice - most // 2, end - most))
    return first, min(end, first + most)
