"""What every object that we write says of its maker."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

import medkd
from data_contracts.private import open_private

RESEARCH_ONLY = "Research use only. Not a medical device."
#: Series numbers of our objects: far from those of scanners, so that a viewer lists them together.
SERIES = {"segmentation": 9001, "labelmap": 9002, "map_segmentation": 9003, "parametric_map": 9010, "report": 9050, "key_image": 9060}


@dataclass(frozen=True)
class Identity:
    """Identifiers that follow from what an object says: written again, it is the same object to an archive, not a second one.

    Attributes:
        explanation: content id of the explanation.
        study: UID of the study that the objects belong to.
    """

    explanation: str
    study: str

    def uid(self, *words: str) -> str:
        """Return the UID of a thing that some words name (PS3.5 B.2: derived from a UUID, here of a hash)."""
        digest = hashlib.sha256("\n".join((self.explanation, self.study, *words)).encode()).digest()
        return f"2.25.{uuid.UUID(bytes=digest[:16], version=5).int}"


def maker() -> dict[str, Any]:
    """Return the arguments that highdicom's objects share."""
    return {
        "manufacturer": "medkd",
        "manufacturer_model_name": "medkd",
        "software_versions": f"{medkd.__version__} research",
        "device_serial_number": "none",
    }


def save(written: Dataset, path: Path) -> Path:
    """Write an object for its owner only: it carries the patient of its images."""
    with open_private(path) as stream:
        written.save_as(stream, enforce_file_format=True)
    return path


def of_series(images: Sequence[Dataset]) -> str:
    """Return the series that images belong to."""
    return str(images[0].SeriesInstanceUID)
