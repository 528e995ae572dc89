"""What a de-identifier is required to do with a planted value, and whether it did: the action types of the MIDI-B challenge (arXiv 2507.23608).

A required action is written down where the value is planted, and is judged on the files that were written alone: nothing here knows how the
de-identifier under test decides.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.uid import UID


class Action(StrEnum):
    """What is required of a value."""

    TAG_RETAINED = "tag_retained"
    TEXT_RETAINED = "text_retained"
    TEXT_NOTNULL = "text_notnull"
    TEXT_REMOVED = "text_removed"
    DATE_SHIFTED = "date_shifted"
    UID_CHANGED = "uid_changed"
    UID_CONSISTENT = "uid_consistent"
    PATID_CONSISTENT = "patid_consistent"
    PIXELS_HIDDEN = "pixels_hidden"
    PIXELS_RETAINED = "pixels_retained"


Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Required:
    """A required action.

    Attributes:
        action: what is to be done.
        file: name of the planted file.
        place: keywords and numbers of items from the top; ``file_meta`` first for file meta information.
        value: the value as planted; of dates the date and its time or None, of pixels the rows and columns of the letters.
        patient: whose file it is.
    """

    action: Action
    file: str
    place: Place
    value: Any = None
    patient: str = ""


@dataclass(frozen=True)
class Score:
    """How many of the required actions were taken, by type.

    Attributes:
        right: those that were taken.
        required: all.
        wrong: those that were not.
    """

    right: Counter[str]
    required: Counter[str]
    wrong: tuple[Required, ...] = field(default=(), repr=False)

    @property
    def share(self) -> float:
        """Return the share of required actions that were taken."""
        return self.right.total() / self.required.total()

    def figures(self) -> dict[str, Any]:
        """Return the numbers, by action type."""
        types = {str(name): round(self.right[name] / count, 5) for name, count in sorted(self.required.items())}
        return {"required_actions": self.required.total(), "actions_right": round(self.share, 5), "by_action": types}


class _Written:
    """A written file, read once."""

    def __init__(self, path: Path) -> None:
        self.payload = path.read_bytes()
        self.dataset = dcmread(path, force=True)

    @cached_property
    def said(self) -> str:
        """Everything but the pixels, as two encodings read it."""
        pixels = self.dataset.get_item("PixelData")
        rest = self.payload if pixels is None or not pixels.value else self.payload.replace(bytes(pixels.value), b"")
        return f"{rest.decode('latin-1')}\n{rest.decode('utf-8', 'replace')}".casefold()

    def at(self, place: Place) -> Any:
        """Return the element at a place, None where there is none."""
        at: Any = self.dataset
        for step in place:
            if step == "file_meta":
                at = at.file_meta
            elif isinstance(step, int):
                at = at.value[step] if len(at.value or ()) > step else None
            else:
                at = at[step] if step in at else None  # noqa: SIM401 - the element, not its value
            if at is None:
                return None
        return at

    def text(self, place: Place) -> str | None:
        element = self.at(place)
        return None if element is None else text_of_value(element.value)


def text_of_value(value: Any) -> str:
    """Return a value as one text: several values with a backslash between them, as the standard writes them."""
    if value is None:
        return ""
    if isinstance(value, bytes) or not hasattr(value, "__iter__") or isinstance(value, str):
        return str(value).strip()
    return "\\".join(str(one).strip() for one in value) if not hasattr(value, "components") else str(value).strip()


def score(required: list[Required], written: Mapping[str, Path], originals: Mapping[str, Path]) -> Score:
    """Judge what was written.

    Args:
        required: every required action of a set.
        written: file → what was written of it. Of a file that is missing every action counts as not taken: what is withheld is of no use.
        originals: file → as planted.
    """
    files = {name: _Written(path) for name, path in written.items() if path.is_file()}
    uids, patients, shifts = _maps(required, files)
    right: Counter[str] = Counter()
    wrong = []
    for one in required:
        file = files.get(one.file)
        if file is not None and _taken(one, file, originals[one.file], uids, patients, shifts):
            right[one.action] += 1
        else:
            wrong.append(one)
    return Score(right, Counter(one.action for one in required), tuple(wrong))


def _maps(
    required: list[Required], files: Mapping[str, _Written]
) -> tuple[dict[str, str | None], dict[str, str | None], dict[str, timedelta]]:
    """Return what each UID and each patient became over the whole set (None where another became the same), and the shift of each patient."""
    uids: dict[str, Counter[str]] = defaultdict(Counter)
    patients: dict[str, Counter[str]] = defaultdict(Counter)
    shifts: dict[str, Counter[timedelta]] = defaultdict(Counter)
    for one in required:
        file = files.get(one.file)
        if file is None:
            continue
        if one.action is Action.UID_CONSISTENT:
            uids[one.value][file.text(one.place) or ""] += 1
        elif one.action is Action.PATID_CONSISTENT:
            patients[one.value][file.text(one.place) or ""] += 1
        elif one.action is Action.DATE_SHIFTED and one.value[1]:
            moved = _shift(one, file)
            if moved is not None:
                shifts[one.patient][moved] += 1
    return _injective(uids), _injective(patients), {patient: counts.most_common(1)[0][0] for patient, counts in shifts.items()}


def _injective(became: Mapping[str, Counter[str]]) -> dict[str, str | None]:
    chosen = {original: counts.most_common(1)[0][0] for original, counts in became.items()}
    times = Counter(chosen.values())
    return {original: new if times[new] == 1 and new else None for original, new in chosen.items()}


def _taken(
    one: Required,
    file: _Written,
    original: Path,
    uids: Mapping[str, str | None],
    patients: Mapping[str, str | None],
    shifts: Mapping[str, timedelta],
) -> bool:
    now = file.text(one.place) if one.place else None
    match one.action:
        case Action.TAG_RETAINED:
            # No value: the attribute must be there, whatever it says.
            return now is not None and (one.value is None or _same(now, text_of_value(one.value)))
        case Action.TEXT_RETAINED:
            return now is not None and _in_order(one.value, now)
        case Action.TEXT_NOTNULL:
            return bool(now)
        case Action.TEXT_REMOVED:
            return str(one.value).casefold() not in file.said
        case Action.DATE_SHIFTED:
            return _dates_moved(one, file, shifts.get(one.patient))
        case Action.UID_CHANGED:
            return bool(now) and now != one.value and UID(str(now)).is_valid
        case Action.UID_CONSISTENT:
            return bool(now) and now == uids[one.value]
        case Action.PATID_CONSISTENT:
            return bool(now) and now != one.value and now == patients[one.value]
        case Action.PIXELS_HIDDEN:
            return _hidden(_pixels(original), _pixels_of(file.dataset), one.value)
        case Action.PIXELS_RETAINED:
            return _retained(_pixels(original), _pixels_of(file.dataset), one.value)


def _same(now: str, planted: str) -> bool:
    if now.casefold() == planted.casefold():
        return True
    try:
        return [float(part) for part in now.split("\\")] == [float(part) for part in planted.split("\\")]
    except ValueError:
        return False


def _split(text: str) -> list[str]:
    # A stroke parts alternatives (PET/CT) and is a part of what says without (W/O).
    return [part.rstrip(".") for part in re.findall(r"w/o|[^\s_,;:()/\\]+", text.casefold())]


def _in_order(words: str, text: str) -> bool:
    """Return whether words stand in a text as words, in their order."""
    held, place = _split(text), 0
    for word in _split(words):
        try:
            place = held.index(word, place) + 1
        except ValueError:
            return False
    return True


def _shift(one: Required, file: _Written) -> timedelta | None:
    """Return by how much a date and its time moved; one without a time by whole days; None where either is gone or is none."""
    date, time = one.value
    parent, keyword = one.place[:-1], str(one.place[-1])
    now = file.text(one.place) or ""
    if len(date) > 8:
        return _between(date, now)
    if not time:
        return _between(date, now)
    beside = file.text((*parent, f"{keyword.removesuffix('Date')}Time")) or ""
    return _between(date + time, now + beside) if now and beside else None


def _between(before: str, after: str) -> timedelta | None:
    moments = [_moment(text) for text in (before, after)]
    return None if None in moments else moments[1] - moments[0]  # type: ignore[operator]


def _moment(text: str) -> datetime | None:
    for form in ("%Y%m%d", "%Y%m%d%H%M%S", "%Y%m%d%H%M%S.%f"):
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    return None


def _dates_moved(one: Required, file: _Written, reference: timedelta | None) -> bool:
    moved = _shift(one, file)
    if moved is None or reference is None or abs(moved) < timedelta(days=1):
        return False
    # A date alone cannot show the part of a day that its patient's times moved by.
    return moved == reference if one.value[1] else moved.days in (reference.days, reference.days + 1)


def _pixels(path: Path) -> NDArray[Any]:
    return _pixels_of(dcmread(path))


def _pixels_of(dataset: Dataset) -> NDArray[Any]:
    try:
        return np.asarray(dataset.pixel_array)
    except Exception:  # what cannot be read any more is not retained
        return np.zeros(0)


def _hidden(before: NDArray[Any], after: NDArray[Any], box: tuple[int, int, int, int]) -> bool:
    """Return whether letters can no longer be told from what is beside them: a sixteenth of their contrast, at most, is left."""
    if before.shape != after.shape:
        return False
    top, left, bottom, right = box
    area = (..., slice(top, bottom), slice(left, right))
    old, new = before[area].astype(float), after[area].astype(float)
    letters = old >= old.max() * 0.9
    return bool(abs(new[letters].mean() - new[~letters].mean()) <= (old[letters].mean() - old[~letters].mean()) / 16)


def _retained(before: NDArray[Any], after: NDArray[Any], boxes: tuple[tuple[int, int, int, int], ...]) -> bool:
    """Return whether every pixel that is further from all letters than their height is what it was."""
    if before.shape != after.shape:
        return False
    outside = np.ones(before.shape[-2:], bool)
    for top, left, bottom, right in boxes:
        reach = bottom - top
        outside[max(top - reach, 0) : bottom + reach, max(left - reach, 0) : right + reach] = False
    return bool(np.array_equal(before[..., outside], after[..., outside]))
