"""``dataset.json`` of the Medical Segmentation Decathlon and of nnU-Net v2: which image goes with which label map, and what values mean.

Decathlon (Simpson et al. 2019): ``training`` lists pairs of files, ``labels`` is value → name. nnU-Net v2
(github.com/MIC-DKFZ/nnUNet, documentation/dataset_format.md): no list; images are ``imagesTr/CASE_0000`` with the number of the channel
at the end, label maps ``labelsTr/CASE``, ``labels`` is name → value, ``file_ending`` says how files end; ``dataset`` may list cases
elsewhere in the folder. Cases with several images: ``channel_names`` names them, which lie as ``imagesTr/CASE_0000``, ``CASE_0001``, … (nnU-Net) or
along the fourth axis of one file (Decathlon, whose lists say ``modality``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_contracts import DataError, SourceError, Task
from medkd.cohorts.case_table import read_text
from medkd.cohorts.folder_names import VOLUME_SUFFIXES, few, identifier_of, require_inside

IMAGES, LABELS = "imagesTr", "labelsTr"


@dataclass(frozen=True, order=True)
class Pair:
    """A case: what it is called, and the names of its image, of its label map (None where there is none) and of its further images in the folder."""

    case: str
    image: str
    label: str | None
    further: tuple[str, ...] = ()


@dataclass(frozen=True)
class DatasetList:
    """The cases of a list, and the names of its label values.

    Attributes:
        pairs: by case.
        labels: name of each value.
        channels: names of the images of a case, in their order; empty where it has one.
        stacked: whether they lie along the fourth axis of one file.
    """

    pairs: tuple[Pair, ...]
    labels: Mapping[int, str]
    channels: tuple[str, ...] = ()
    stacked: bool = False


def read_dataset(root: Path, name: str) -> DatasetList:
    """Read the list of a folder.

    Raises:
        SourceError: ``SOURCE_MISSING`` when there is no such file.
        DataError: ``DATASET_UNREADABLE`` when it is no list of either kind; the sentence says what was found. ``DATASET_CHANNELS`` when
            it does not name its channels, each once. A list that names a file outside its folder is ``DATASET_UNREADABLE`` too.
    """
    path = require_inside(root, name, "the recipe")
    if not path.is_file():
        raise SourceError("SOURCE_MISSING", f"expected {name} in {root.name}, found no file (set MEDKD_DATA to the folder that holds it)")
    try:
        listed = json.loads(read_text(path, code="DATASET_UNREADABLE"))
    except (ValueError, RecursionError) as error:
        raise DataError(
            "DATASET_UNREADABLE", f"expected JSON in {name}, it is none ({str(error)[:120] or type(error).__name__})"
        ) from error
    if not isinstance(listed, dict):
        raise DataError("DATASET_UNREADABLE", f"expected a mapping in {name}, got {type(listed).__name__}")
    stacked, channels = "training" in listed, _channels(listed, name)
    if stacked:
        pairs = _decathlon(listed["training"], root, name)
    elif "channel_names" in listed or "file_ending" in listed or "dataset" in listed:
        pairs = _nnunet(listed, root, name, len(channels))
    else:
        raise DataError(
            "DATASET_UNREADABLE",
            f"expected 'training' (Decathlon) or 'channel_names' and 'file_ending' (nnU-Net v2) in {name}, it has {few(map(str, listed), 8)}",
        )
    several = channels if len(channels) > 1 else ()
    return DatasetList(tuple(sorted(pairs)), _label_names(listed.get("labels"), name), several, stacked and bool(several))


def _channels(listed: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return what the images of a case are called, by their numbers; one without a name where the list says nothing."""
    # nnU-Net v2 says channel_names; the Decathlon, and lists that were converted from v1, say modality.
    said = listed.get("channel_names", listed.get("modality", {"0": ""}))
    if isinstance(said, str):
        said = [said]
    if isinstance(said, dict) and all(str(number).isdecimal() for number in said):
        said = [said[number] for number in sorted(said, key=lambda number: int(str(number)))]
    if not isinstance(said, list) or not said or not all(isinstance(one, str) for one in said) or len({*said}) < len(said):
        raise DataError("DATASET_CHANNELS", f"expected the number and another name of each channel in {name}, got {str(said)[:80]!r}")
    return tuple(said)


def require_channels(held: tuple[str, ...], task: Task, name: str) -> None:
    """Refuse cases with several images of which nobody says which ones networks see: the first may be the wrong one.

    Args:
        held: names of the images of a case; empty where it has one.
        task: that is asked.
        name: of the list.

    Raises:
        DataError: ``DATASET_CHANNELS``.
    """
    if held and (not task.channels or not set(task.channels) <= set(held)):
        asked = f"it names {list(task.channels)}" if task.channels else "it names none"
        raise DataError(
            "DATASET_CHANNELS", f"expected task.channels that says which of the images {list(held)} of {name} networks see, {asked}"
        )


def _decathlon(training: Any, root: Path, name: str) -> list[Pair]:
    if not isinstance(training, list) or not training:
        raise DataError(
            "DATASET_UNREADABLE", f"expected a list of images and labels under 'training' in {name}, got {str(training)[:60]!r}"
        )
    pairs = []
    for place, item in enumerate(training):
        if not isinstance(item, dict) or not all(isinstance(item.get(key), str) for key in ("image", "label")):
            raise DataError(
                "DATASET_UNREADABLE",
                f"expected 'image' and 'label', each the name of a file, in item {place} of 'training' in {name}, got {str(item)[:80]}",
            )
        image, label = (_inside(root, item[key], name) for key in ("image", "label"))
        pairs.append(Pair(identifier_of(image), image, label))
    return pairs


def _nnunet(listed: Mapping[str, Any], root: Path, name: str, channels: int) -> list[Pair]:
    ending = str(listed.get("file_ending", ".nii.gz"))
    if ending.lower() not in VOLUME_SUFFIXES:
        raise DataError(
            "DATASET_UNREADABLE",
            f"expected file_ending {' or '.join(VOLUME_SUFFIXES)} in {name}, got {ending!r}; save the volumes as NIfTI",
        )
    if listed.get("dataset") is not None:
        return _nnunet_listed(listed["dataset"], root, name, channels)
    folder = require_inside(root, IMAGES, name)
    if not folder.is_dir():
        raise SourceError(
            "SOURCE_MISSING", f"expected a folder {IMAGES} beside {name}, there is {few(sorted(p.name for p in root.iterdir()))}"
        )
    names = sorted(path.name for path in folder.iterdir() if path.name.lower().endswith(ending.lower()) and not path.name.startswith("."))
    numbered = {file: re.fullmatch(r"(.+)_(\d{4})", file[: -len(ending)]) for file in names}
    wrong = [file for file, found in numbered.items() if found is None or int(found[2]) >= channels]
    if wrong or not names:
        last = f"CASE_0000{ending}" if channels == 1 else f"CASE_0000{ending} to CASE_{channels - 1:04d}{ending}"
        named = "one channel" if channels == 1 else f"{channels} channels"
        raise DataError("DATASET_UNREADABLE", f"expected files {last} in {IMAGES}, as nnU-Net names {named}, found {few(wrong)}")
    pairs: dict[str, Pair] = {}
    for file, found in numbered.items():
        if found is not None:
            # Files that are not there are missed when the case is read, which is kept from use alone.
            suffix, case = file[-len(ending) :], found[1]
            images = [f"{IMAGES}/{case}_{number:04d}{suffix}" for number in range(channels)]
            pairs.setdefault(case, Pair(case, images[0], f"{LABELS}/{case}{suffix}", tuple(images[1:])))
    return list(pairs.values())


def _nnunet_listed(dataset: Any, root: Path, name: str, channels: int) -> list[Pair]:
    pairs = []
    for case, files in dataset.items() if isinstance(dataset, dict) else ():
        images = files.get("images") if isinstance(files, dict) else None
        whole = isinstance(images, list) and len(images) == channels and all(isinstance(one, str) for one in images)
        if not whole or not isinstance(images, list) or not isinstance(files.get("label"), str):
            wanted = "one file" if channels == 1 else f"{channels} files"
            raise DataError(
                "DATASET_UNREADABLE",
                f"expected {wanted} in 'images' and one 'label' of case {str(case)[:60]!r} in {name}, got {str(files)[:80]}",
            )
        first, *further = (_inside(root, one, name) for one in images)
        pairs.append(Pair(str(case), first, _inside(root, files["label"], name), tuple(further)))
    if not pairs:
        raise DataError("DATASET_UNREADABLE", f"expected cases under 'dataset' in {name}, got {str(dataset)[:60]!r}")
    return pairs


def _inside(root: Path, file: str, name: str) -> str:
    """Return a name as it is written from the folder on, without ``./``."""
    require_inside(root, file, name, code="DATASET_UNREADABLE")
    return Path(file.replace("\\", "/")).as_posix()


def _label_names(labels: Any, name: str) -> dict[int, str]:
    """Return value → name, whichever way round the list has it; regions of several values (nnU-Net) have no value of their own."""
    if labels is None:
        return {}
    if not isinstance(labels, dict):
        raise DataError(
            "DATASET_UNREADABLE", f"expected a mapping of values and names under 'labels' in {name}, got {type(labels).__name__}"
        )
    found: dict[int, str] = {}
    for key, value in labels.items():
        if str(key).isdigit() and isinstance(value, str):
            number, called = int(key), value
        # True is an int in Python, and no label.
        elif isinstance(value, int) and not isinstance(value, bool):
            number, called = value, str(key)
        elif str(value).isdigit():
            number, called = int(value), str(key)
        elif isinstance(value, list):
            raise DataError(
                "DATASET_UNREADABLE",
                f"expected one value for each label in {name}, {str(key)!r} is a region of {value}; give each structure a value",
            )
        else:
            raise DataError(
                "DATASET_UNREADABLE", f"expected a value and a name of each label in {name}, got {str(key)!r}: {str(value)[:40]!r}"
            )
        if number in found:
            raise DataError("DATASET_UNREADABLE", f"expected each label value once in {name}, {number} is {found[number]!r} and {called!r}")
        found[number] = called
    return found
