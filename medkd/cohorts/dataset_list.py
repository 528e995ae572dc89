"""``dataset.json`` of the Medical Segmentation Decathlon and of nnU-Net v2: which image goes with which label map, and what values mean.

Decathlon (Simpson et al. 2019): ``training`` lists pairs of files, ``labels`` is value → name. nnU-Net v2
(github.com/MIC-DKFZ/nnUNet, documentation/dataset_format.md): no list; images are ``imagesTr/CASE_0000`` with the number of the channel
at the end, label maps ``labelsTr/CASE``, ``labels`` is name → value, ``file_ending`` says how files end; ``dataset`` may list cases
elsewhere in the folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_contracts import DataError, SourceError
from medkd.cohorts.case_table import read_text
from medkd.cohorts.folder_names import VOLUME_SUFFIXES, few, identifier_of, require_inside

IMAGES, LABELS = "imagesTr", "labelsTr"


@dataclass(frozen=True, order=True)
class Pair:
    """A case: what it is called, and the names of its image and of its label map (None where there is none) in the folder."""

    case: str
    image: str
    label: str | None


@dataclass(frozen=True)
class DatasetList:
    """The cases of a list, and the names of its label values."""

    pairs: tuple[Pair, ...]
    labels: Mapping[int, str]


def read_dataset(root: Path, name: str) -> DatasetList:
    """Read the list of a folder.

    Raises:
        SourceError: ``SOURCE_MISSING`` when there is no such file.
        DataError: ``DATASET_UNREADABLE`` when it is no list of either kind; the sentence says what was found. ``DATASET_CHANNELS`` when
            cases have several channels. A list that names a file outside its folder is ``DATASET_UNREADABLE`` too.
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
    if "training" in listed:
        pairs = _decathlon(listed["training"], root, name)
    elif "channel_names" in listed or "file_ending" in listed or "dataset" in listed:
        pairs = _nnunet(listed, root, name)
    else:
        raise DataError(
            "DATASET_UNREADABLE",
            f"expected 'training' (Decathlon) or 'channel_names' and 'file_ending' (nnU-Net v2) in {name}, it has {few(map(str, listed), 8)}",
        )
    return DatasetList(tuple(sorted(pairs)), _label_names(listed.get("labels"), name))


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


def _nnunet(listed: Mapping[str, Any], root: Path, name: str) -> list[Pair]:
    # nnU-Net v2 says channel_names; lists that were converted from v1 still say modality.
    channels = listed.get("channel_names", listed.get("modality", {"0": ""}))
    if not isinstance(channels, dict | list) or len(channels) != 1:
        named = (
            few(map(str, channels.values() if isinstance(channels, dict) else channels), 8)
            if isinstance(channels, dict | list)
            else channels
        )
        raise DataError("DATASET_CHANNELS", f"expected one channel in {name}, it names {named}; networks here see one")
    ending = str(listed.get("file_ending", ".nii.gz"))
    if ending.lower() not in VOLUME_SUFFIXES:
        raise DataError(
            "DATASET_UNREADABLE",
            f"expected file_ending {' or '.join(VOLUME_SUFFIXES)} in {name}, got {ending!r}; save the volumes as NIfTI",
        )
    if listed.get("dataset") is not None:
        return _nnunet_listed(listed["dataset"], root, name)
    folder = require_inside(root, IMAGES, name)
    if not folder.is_dir():
        raise SourceError(
            "SOURCE_MISSING", f"expected a folder {IMAGES} beside {name}, there is {few(sorted(p.name for p in root.iterdir()))}"
        )
    names = sorted(path.name for path in folder.iterdir() if path.name.lower().endswith(ending.lower()) and not path.name.startswith("."))
    cases = {file: file[: -len(ending)] for file in names}
    wrong = [file for file, case in cases.items() if not case.endswith("_0000") or case == "_0000"]
    if wrong or not names:
        raise DataError(
            "DATASET_UNREADABLE", f"expected files CASE_0000{ending} in {IMAGES}, as nnU-Net names one channel, found {few(wrong)}"
        )
    return [Pair(case[:-5], f"{IMAGES}/{file}", f"{LABELS}/{case[:-5]}{file[-len(ending) :]}") for file, case in cases.items()]


def _nnunet_listed(dataset: Any, root: Path, name: str) -> list[Pair]:
    pairs = []
    for case, files in dataset.items() if isinstance(dataset, dict) else ():
        images = files.get("images") if isinstance(files, dict) else None
        if not isinstance(images, list) or len(images) != 1 or not isinstance(images[0], str) or not isinstance(files.get("label"), str):
            raise DataError(
                "DATASET_UNREADABLE",
                f"expected one file in 'images' and one 'label' of case {str(case)[:60]!r} in {name}, got {str(files)[:80]}",
            )
        pairs.append(Pair(str(case), _inside(root, images[0], name), _inside(root, files["label"], name)))
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
