"""The same pictures twice: as a folder of PNG with a table, and as DICOM ultrasound with segmentations, so that both make one cohort."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import medkd
from data_contracts import Recipe
from medkd.phantom.dicom_pictures import Picture, write_picture, write_picture_label

#: A recipe that learns a little within seconds.
SMALL = {
    "name": "pictures",
    "task": {"kind": "classification", "classes": ["benign", "malignant"], "image_size": [64, 64], "window": [0.0, 255.0]},
    "seeds": [0],
    "teacher": {
        "network": {"builder": "resnet", "options": {"channels": [8, 8, 8, 8]}},
        "fit": {"epochs": 3, "batch_size": 8, "learning_rate": 0.002, "augment": "affine", "precision": "fp32"},
        "terms": [{"loss": "cross_entropy"}, {"loss": "explanation_supervision", "weight": 0.5, "options": {"explainer": "cam"}}],
        "gate": {},
    },
    "student": {
        "network": {"builder": "resnet", "options": {"channels": [4, 4, 4, 4]}},
        "fit": {"epochs": 3, "batch_size": 8, "learning_rate": 0.004, "augment": "affine", "precision": "fp32"},
    },
    "arms": {"kd": {"terms": [{"loss": "cross_entropy", "weight": 0.5}, {"loss": "logit_kd", "options": {"temperature": 4.0}}]}},
}
#: Pictures of people have scales and names burned in; here they are to be learnt from as they are.
AS_DICOM = {"kind": "dicom", "path": "dicom", "held_out": 0.2, "policy": {"actions": {"BURNED_IN_TEXT": "accept_with_flag"}}}
AS_PNG = {"kind": "image_folder", "path": "png", "patient_column": "patient", "label_column": "label"}


@dataclass(frozen=True)
class Labelled:
    """A picture, what is marked on it, its class, and a number for whose it is."""

    pixels: NDArray[np.uint8]
    mask: NDArray[Any]
    label: str
    person: int


def write_twice(root: Path, pictures: Sequence[Labelled]) -> None:
    """Write pictures to ``png`` and to ``dicom`` below a folder, so that both kinds of data give their cases in one order and one split.

    Cases of a folder of DICOM come in the order of the digests of their pixels, and its people are split in the order of their least ones: the table
    of the PNG lists them in that order, and Patient IDs are numbered so.
    """
    least: dict[int, str] = {}
    for one in pictures:
        least[one.person] = min(_digest(one), least.get(one.person, "g"))  # no digest begins with it
    people = {person: f"PAT{rank:07d}" for rank, person in enumerate(sorted(least, key=lambda person: least[person]))}
    lines: list[tuple[str, dict[str, str]]] = []
    for folder in ("images", "masks"):
        (root / "png" / folder).mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(pictures):
        name, person = f"case{number:04d}", people[one.person]
        made = Picture(one.pixels, patient=one.person, number=number, attributes={"PatientID": person, "BurnedInAnnotation": "NO"})
        dataset = write_picture(root / "dicom" / name / "us.dcm", made)
        write_picture_label(root / "dicom" / name / "seg.dcm", dataset, one.mask, one.label)
        Image.fromarray(one.pixels).save(root / "png" / "images" / f"{name}.png")
        Image.fromarray((one.mask > 0).astype(np.uint8) * 255).save(root / "png" / "masks" / f"{name}.png")
        lines.append((_digest(one), {"ID": name, "patient": person, "label": one.label}))
    with (root / "png" / "cases.csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, ["ID", "patient", "label"])
        table.writeheader()
        table.writerows(line for _, line in sorted(lines, key=lambda pair: pair[0]))


def _digest(picture: Labelled) -> str:
    return hashlib.sha256(np.ascontiguousarray(picture.pixels).tobytes()).hexdigest()


def recipe_of(data: dict[str, Any], **changes: Any) -> Recipe:
    """Return the small recipe on one of both."""
    return medkd.read_recipe({**SMALL, "data": data, **changes})


def same_training(root: Path) -> list[tuple[list[str], list[tuple[str, Any]]]]:
    """Return of PNG and of DICOM what training came to: digests of weights, and figures of the scorecards, which hold no seconds."""
    found = []
    for data in (AS_PNG, AS_DICOM):
        result = medkd.distill(recipe_of(data), root / "runs" / data["kind"], data_root=root, register=False)
        weights = [one.weights_digest for one in (result.teacher, *result.students) if one is not None]
        found.append((weights, [(card.subject, card.figures) for card in result.scorecards]))
    return found


def busbra(folder: Path, people: int) -> list[Labelled]:
    """Return the pictures of the first patients of BUS-BRA."""
    with (folder / "cases.csv").open(encoding="utf-8") as stream:
        lines = list(csv.DictReader(stream))
    numbers = {patient: number for number, patient in enumerate(dict.fromkeys(line["patient"] for line in lines))}

    def read(kind: str, line: dict[str, str]) -> NDArray[np.uint8]:
        return np.asarray(Image.open(folder / kind / f"{line['ID']}.png").convert("L"))

    return [
        Labelled(read("images", line), read("masks", line), line["Pathology"], numbers[line["patient"]])
        for line in lines
        if numbers[line["patient"]] < people
    ]
