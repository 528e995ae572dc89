"""What tells a slice from its neighbours: the standard attributes that may, as text that can be compared."""

from __future__ import annotations

import re
from typing import Any

from pydicom import Dataset
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.tag import BaseTag

from medkd.dicom.raw_values import raw_text, tag_of

#: What may tell slices at one position apart, most telling first, and last the times of day.
MOMENTS = (
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "EchoTime",
    "EffectiveEchoTime",
    "DiffusionBValue",
    "DiffusionGradientOrientation",
    "InversionTime",
    "InversionTimes",
    "FlipAngle",
    "KVP",
    "ConvolutionKernel",
    "ReconstructionDiameter",
    "FilterType",
    "FrameType",
    "ComplexImageComponent",
    "TriggerTime",
    "NominalCardiacTriggerDelayTime",
    "NominalPercentageOfCardiacPhase",
    "CardiacCyclePosition",
    "StackID",
    "TemporalPositionTimeOffset",
    "FrameReferenceTime",
    "RepetitionTime",
    "AcquisitionNumber",
    "FrameAcquisitionNumber",
    "AcquisitionTime",
    "AcquisitionDateTime",
    "FrameAcquisitionDateTime",
    "FrameReferenceDateTime",
    "ContentTime",
)
#: Between the attributes that together tell a group from others.
BETWEEN = "; "
#: What makes a voxel's value: images that differ here never share a volume without a word.
PHYSICS = ("KVP", "ConvolutionKernel", "EchoTime", "EffectiveEchoTime", "InversionTime", "FlipAngle")
#: Where the attributes lie in an enhanced object whose every frame is asked for them (PS3.3 C.7.6.16.2, C.8.13.5, C.8.15.3).
GROUP_OF = {
    "StackID": "FrameContentSequence",
    "FrameAcquisitionNumber": "FrameContentSequence",
    "EffectiveEchoTime": "MREchoSequence",
    "FlipAngle": "MRTimingAndRelatedParametersSequence",
    "KVP": "CTXRayDetailsSequence",
    "ConvolutionKernel": "CTReconstructionSequence",
}
#: Gradient directions and b-values that makers keep in private attributes: (group, creator, element, keyword it stands for).
_PRIVATE = (
    (0x0019, "SIEMENS MR HEADER", 0x0C, "DiffusionBValue"),
    (0x0019, "SIEMENS MR HEADER", 0x0E, "DiffusionGradientOrientation"),
    (0x0043, "GEMS_PARM_01", 0x39, "DiffusionBValue"),
    (0x0019, "GEMS_ACQU_01", 0xBB, "DiffusionGradientOrientation"),
    (0x2001, "Philips Imaging DD 001", 0x03, "DiffusionBValue"),
)
KEPT_BY_MAKERS = frozenset(keyword for _, _, _, keyword in _PRIVATE)
_TAGS = {keyword: tag_of(keyword) for keyword in (*MOMENTS, *PHYSICS)}
_NO_DIRECTION = "none"
_DECIMAL = frozenset({"DS", "FD", "FL"})
_SHARED, _PER_FRAME = tag_of(0x52009229), tag_of(0x52009230)
#: What differs from image to image and tells no acquisitions apart: identities, places, what is computed of the pixels, how they are shown.
_INDIVIDUAL = re.compile(
    r"UID$|^InstanceNumber$|^ImagePosition|^ImageOrientation|^SliceLocation$|^InStackPositionNumber$|^DimensionIndexValues$|^Window|"
    r"^Smallest|^Largest|^Pixel(Data|Padding)|^Rescale|^LUT|^Instance|^Content(Date|Time)$|^TablePosition|^TableHeight|^Rows$|^Columns$|"
    r"^Referenced|^Icon|^Number|^XRayTubeCurrent|^Exposure|^CTDIvol|^RealWorld|^DataSetTrailing|^ImageComments$|^SOP|^FrameComments$|"
    r"^WaterEquivalent|^ImageIndex$|^Spectrally|^DataCollectionCenter|^ReconstructionTargetCenter|^CommentsOnThePerformed|^SliceProgression"
)
#: Representations of values that are neither names nor bytes.
_PLAIN = frozenset({"CS", "DS", "IS", "FD", "FL", "US", "SS", "UL", "SL", "SH", "LO", "TM", "DT", "DA"})


def shown(dataset: Dataset, keyword: str) -> str:
    """Return an attribute as text that is the same for equal values, "" where absent."""
    return _text(dataset, _TAGS.get(keyword) or tag_of(keyword))


def attributes_of(datasets: tuple[Dataset, ...], private: dict[str, str]) -> dict[str, str]:
    """Return every standard attribute that may tell a slice from others: keyword → text.

    Args:
        datasets: where they lie, items of their sequences included; what the first of them states counts.
        private: what a maker keeps in private attributes, see :func:`private_attributes`.
    """
    found: dict[str, str] = {}
    for dataset in datasets:
        _flatten(dataset, found)
    return _with_direction(found | {keyword: value for keyword, value in private.items() if keyword not in found})


def private_attributes(header: Dataset) -> dict[str, str]:
    """Return b-value and direction where the maker keeps them in private attributes: keyword → text."""
    found: dict[str, str] = {}
    for group, creator, element, keyword in _PRIVATE:
        text = _private_value(header, group, creator, element)
        if text is not None:
            found.setdefault(keyword, text)
    return _with_direction(found)


def _private_value(header: Dataset, group: int, creator: str, element: int) -> str | None:
    try:
        # The block's number differs from file to file, its creator does not (PS3.5 7.8.1).
        block = header.private_block(group, creator)
        return _private_text(block[element].value) if element in block else None
    except Exception:  # private elements are as their maker likes
        return None


def _with_direction(found: dict[str, str]) -> dict[str, str]:
    # Images without diffusion weighting state no direction: as a value of its own they part from those that do.
    if found.get("DiffusionBValue") and "DiffusionGradientOrientation" not in found:
        found["DiffusionGradientOrientation"] = _NO_DIRECTION
    return found


def _flatten(dataset: Dataset, found: dict[str, str]) -> None:
    for tag in list(dataset.keys()):
        if not (tag.group % 2 or tag in (_SHARED, _PER_FRAME)):
            _take(dataset, tag, found)


def _take(dataset: Dataset, tag: BaseTag, found: dict[str, str]) -> None:
    """Note a value, and those in items of a sequence; one that contradicts its representation tells nothing apart."""
    keyword = keyword_for_tag(tag)
    if not keyword or _INDIVIDUAL.search(keyword):
        return
    try:
        kind = dictionary_VR(tag)
        if kind == "SQ":
            for item in dataset[tag].value or ():
                _flatten(item, found)
        elif kind in _PLAIN and keyword not in found:
            text = _text(dataset, tag)
            if text:
                found[keyword] = text
    except Exception:
        return


def _text(dataset: Dataset, tag: int) -> str:
    """Return a value as text; of numbers, equal ones are written alike."""
    text = raw_text(dataset, tag, known=True)
    kind = dictionary_VR(tag) if text else ""
    return "\\".join(_as_number(part, kind) for part in text.split("\\")) if kind in _DECIMAL else text


def _as_number(part: str, kind: str) -> str:
    try:
        # Rounded: makers compute directions anew for each image.
        rounded = float(f"{float(part.replace(',', '.')):.6g}") + 0.0
    except ValueError:
        return part.strip()
    return str(rounded) if kind in ("FD", "FL") else f"{rounded:g}"


def _private_text(value: Any) -> str:
    parts = [value] if isinstance(value, str | bytes) or not hasattr(value, "__iter__") else list(value)
    return "\\".join(_as_number(str(part), "DS") for part in parts if not isinstance(part, bytes))
