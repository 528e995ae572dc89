"""A phantom series with a change, de-identified as it would be handed on, and a picture with text."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pydicom
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset

from medkd.dicom.confidentiality.publish import DeidentifyRequest, deidentify_folder
from medkd.phantom.dicom_faults import write_case


def written(folder, change: Callable[[Dataset], None], case: str = "regular") -> list:
    """Write a phantom series with a change, de-identify it and return what was published."""
    for path in write_case(folder / "in", case):
        dataset = pydicom.dcmread(path)
        change(dataset)
        dataset.save_as(path)
    deidentify_folder(DeidentifyRequest(folder / "in", folder / "out"), secret=b"s")
    return sorted((folder / "out").rglob("*.dcm"))


def said(dataset: Dataset) -> set[str]:
    """Return every value of an object but those that we write about our own work."""
    ours = ("DeidentificationMethod", "DeidentificationMethodCodeSequence")
    found = set()
    for element in dataset:
        if element.keyword in ours:
            continue
        if element.VR == "SQ":
            found |= {text for item in element.value for text in said(item)}
        elif element.VR not in ("OB", "OW"):
            found |= {str(value) for value in ([element.value] if element.VM < 2 else element.value)}
    return found


def picture(text="DOE JANE 19500515", size=16, shape=(256, 256), noise=12):
    grey = np.random.default_rng(0).normal(90, noise, shape).clip(0, 170).astype(np.uint8)
    image = Image.fromarray(grey)
    if text:
        ImageDraw.Draw(image).text((12, 30), text, fill=255, font=ImageFont.load_default(size=size))
    return np.array(image)
