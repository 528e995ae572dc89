"""A DICOM object full of markers: one in every attribute of Table E.1-1, at the top and in two levels of kept sequences."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, Sequence, dcmread
from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import FileMetaDataset
from pydicom.tag import BaseTag, Tag
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from medkd.dicom.confidentiality.profile import listed_tags

#: Attributes without which nothing would be an image any more, or that say what the bytes mean.
_STRUCTURAL = {"SOPClassUID", "TransferSyntaxUID"}
#: Names and the character sets they are written in.
NAMES = {
    "latin": ("ISO_IR 100", "Grübelmüller^Zoë"),
    "japanese": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "korean": (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    "greek": ("ISO_IR 126", "Διονυσιος^Παπαδοπουλος"),
    "arabic": ("ISO_IR 127", "قباني^لنزار"),
    "unicode": ("ISO_IR 192", "Wang^XiaoDong=王^小东="),
}


@dataclass(frozen=True)
class Marker:
    """A planted value: where it was put (tags from the top), what it says, and how it is recognised."""

    path: tuple[int, ...]
    value: Any
    kind: str

    def left_in(self, dataset: Dataset, payload: bytes) -> bool:
        """Return whether the marker survived: at its place for dates and numbers, anywhere in the bytes for texts."""
        if self.kind == "bytes":
            return any(spelling in payload for spelling in self.value)
        found = _at(dataset, self.path)
        return found is not None and str(found) == str(self.value)


def _at(dataset: Dataset, path: tuple[int, ...]) -> Any:
    for tag in path[:-1]:
        if tag not in dataset or not dataset[tag].value:
            return None
        dataset = dataset[tag].value[0]
    return dataset[path[-1]].value if path[-1] in dataset else None


class _Planter:
    def __init__(self) -> None:
        self.markers: list[Marker] = []
        self.days = 0

    def plant(self, dataset: Dataset, tag: BaseTag, path: tuple[int, ...]) -> None:
        number = len(self.markers)
        # Attributes younger than the dictionary are text.
        vr = dictionary_VR(tag).split(" or ")[0] if dictionary_has_tag(tag) else "LO"
        self.days += vr in ("DA", "DT")
        value, kind = _value(vr, number, self.days)
        if vr == "SQ":
            item = Dataset()
            item.add_new(0x00104000, "LT", value.decode())
            dataset[tag] = DataElement(tag, "SQ", Sequence([item]))
            value, kind = (value,), "bytes"
        else:
            dataset.add_new(tag, vr, value.decode() if isinstance(value, bytes) and vr not in ("OB", "OW", "UN") else value)
            value = (value,) if kind == "bytes" else value
        self.markers.append(Marker((*path, int(tag)), value, kind))


def _value(vr: str, number: int, days: int) -> tuple[Any, str]:
    # Dates lie further apart than any shift, so that one that was moved is never another one that was planted.
    day = (date(1600, 1, 1) + timedelta(days=4001 * days)).strftime("%Y%m%d")
    text = f"MK{number:05d}Q".encode()
    if vr == "DA":
        return day, "place"
    if vr == "TM":
        return f"{number % 24:02d}{number % 60:02d}{number // 60 % 60:02d}.{number:06d}", "place"
    if vr == "DT":
        return f"{day}{number % 24:02d}1213.{number:06d}", "place"
    if vr == "UI":
        return f"1.2.3456.{number + 100000}.99".encode(), "bytes"
    if vr == "AS":
        return f"{number % 1000:03d}X", "place"
    if vr in ("US", "SS"):
        return 10000 + number, "place"
    if vr in ("UL", "SL", "UV", "SV", "IS"):
        return 7000000 + number, "place"
    if vr in ("FL", "FD", "DS"):
        return 7000000.5 + number, "place"
    if vr in ("OB", "OW", "UN", "OF", "OD", "OL", "OV"):
        return text + b"\0" * (-len(text) % 8), "bytes"
    return text, "bytes"


def write_marked(path: Path) -> list[Marker]:
    """Write the object with all listed attributes marked, private and file-meta markers included, and return the markers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # markers are no valid ages and codes, which is their point
        return _write_marked(path)


def _write_marked(path: Path) -> list[Marker]:
    dataset, planter = _blank(), _Planter()
    series, instance = Dataset(), Dataset()
    for holder, above in ((dataset, ()), (series, (0x00081115,)), (instance, (0x00081115, 0x0008114A))):
        for tag in listed_tags():
            if keyword_for_tag(tag) not in _STRUCTURAL and tag.group not in (0, 2) and tag not in (0x7FE00010, 0x00081115, 0x0008114A):
                planter.plant(holder, tag, above)
        _private(holder, planter, above)
    series.ReferencedInstanceSequence = Sequence([instance])
    dataset.ReferencedSeriesSequence = Sequence([series])
    for keyword in ("SourceApplicationEntityTitle", "SendingApplicationEntityTitle", "ReceivingApplicationEntityTitle"):
        text = f"MK{len(planter.markers):05d}Q"
        setattr(dataset.file_meta, keyword, text)
        planter.markers.append(Marker((Tag(keyword),), (text.encode(),), "bytes"))
    dataset.file_meta.PrivateInformationCreatorUID, dataset.file_meta.PrivateInformation = "1.2.3", b"MKPRIVQ\0"
    dataset.preamble = b"MKPREAMBLEQ".ljust(128, b"\0")
    planter.markers += [Marker((0x00020102,), (b"MKPRIVQ",), "bytes"), Marker((0,), (b"MKPREAMBLEQ",), "bytes")]
    dataset.save_as(path, enforce_file_format=True)
    return planter.markers


def _private(dataset: Dataset, planter: _Planter, path: tuple[int, ...]) -> None:
    block = dataset.private_block(0x0029, "MARKED PRIVATE", create=True)
    for offset, vr in enumerate(("LO", "SH", "LT", "UN", "OB")):
        text = f"MK{len(planter.markers):05d}Q".encode()
        block.add_new(offset, vr, text + b"\0" if vr in ("UN", "OB") else text.decode())
        planter.markers.append(Marker((*path, 0x00291000 + offset), (text,), "bytes"))


def write_named(folder: Path) -> dict[Path, list[Marker]]:
    """Write one object per character set, its names in it, and return the markers of each file: each spelling of each part."""
    written = {}
    for name, (charset, person) in NAMES.items():
        dataset = _blank()
        dataset.SpecificCharacterSet = charset
        dataset.PatientName, dataset.ReferringPhysicianName = person, person
        dataset.PatientComments = f"seen: {person}" if name != "korean" else "seen"
        path = folder / f"{name}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        raw = dcmread(path).get_item("PatientName").value
        parts = {part for piece in raw.replace(b"\x1b", b"^").split(b"^") for part in piece.split(b"=") if len(part.strip()) > 3}
        written[path] = [Marker((0x00100010,), (part,), "bytes") for part in sorted(parts)]
    return written


def _blank() -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.3.4.5.6.7"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = "1.2.3.4.1", "1.2.3.4.2", "1.2.3.4.3"
    dataset.Modality, dataset.BurnedInAnnotation = "CT", "NO"
    dataset.Rows = dataset.Columns = 16
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 0
    dataset.PixelData = np.random.default_rng(0).integers(0, 4000, (16, 16)).astype("<u2").tobytes()
    return dataset


def left(path: Path, markers: list[Marker]) -> list[Marker]:
    """Return the markers that are still in a file."""
    payload = path.read_bytes()
    dataset = dcmread(path, force=True)
    return [marker for marker in markers if marker.left_in(dataset, payload)]
