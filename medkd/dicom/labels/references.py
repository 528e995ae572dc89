"""What a label says it was drawn on, and which of the accepted volumes that is.

Nearest first: the image of each frame or contour, the images listed, the series listed. Frame of reference and geometry decide only for a
label that names no image and no series. Source: PS3.3 C.7.6.16.2.6 (derivation image), C.12.3.1 (common instance reference), C.8.8.5,
C.8.8.6 (structure set, ROI contour).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pydicom import Dataset

from data_contracts import VolumeRef
from medkd.dicom.group import SliceGroup
from medkd.dicom.raw_values import raw_text

#: SOP instance, series instance, frame of reference.
INSTANCE, SERIES, FRAME_OF_REFERENCE = 0x00080018, 0x0020000E, 0x00200052

#: An instance and one of its frames, counted from 1; 0 stands for all of them.
Image = tuple[str, int]


@dataclass(frozen=True)
class References:
    """What a label refers to.

    Attributes:
        drawn_on: images that its frames or contours were drawn on.
        listed: images that it lists.
        series: series that it lists.
        frames: frames of reference that it lies in.
    """

    drawn_on: frozenset[Image] = frozenset()
    listed: frozenset[Image] = frozenset()
    series: frozenset[str] = frozenset()
    frames: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        """Return whether an image or a series is named."""
        return bool(self.drawn_on or self.listed or self.series)


def segmentation_references(header: Dataset) -> References:
    """Return what a DICOM SEG refers to."""
    groups = [*(header.get("SharedFunctionalGroupsSequence") or []), *(header.get("PerFrameFunctionalGroupsSequence") or [])]
    drawn_on = {
        image
        for group in groups
        for derivation in group.get("DerivationImageSequence") or []
        for image in _images(derivation, "SourceImageSequence")
    }
    listed = {image for keyword in ("SourceImageSequence", "ReferencedImageSequence") for image in _images(header, keyword)}
    series: set[str] = set()
    others = header.get("StudiesContainingOtherReferencedInstancesSequence") or []
    for holder in (header, *others):
        for item in holder.get("ReferencedSeriesSequence") or []:
            series.add(str(item.get("SeriesInstanceUID", "") or ""))
            listed |= set(_images(item, "ReferencedInstanceSequence"))
    return _references(drawn_on, listed, series, {raw_text(header, FRAME_OF_REFERENCE)})


def structure_set_references(header: Dataset) -> References:
    """Return what an RTSTRUCT refers to."""
    drawn_on = {
        image
        for region in header.get("ROIContourSequence") or []
        for contour in region.get("ContourSequence") or []
        for image in _images(contour, "ContourImageSequence")
    }
    listed: set[Image] = set()
    series: set[str] = set()
    frames = {raw_text(header, FRAME_OF_REFERENCE)}
    for frame in header.get("ReferencedFrameOfReferenceSequence") or []:
        frames.add(str(frame.get("FrameOfReferenceUID", "") or ""))
        for study in frame.get("RTReferencedStudySequence") or []:
            for item in study.get("RTReferencedSeriesSequence") or []:
                series.add(str(item.get("SeriesInstanceUID", "") or ""))
                listed |= set(_images(item, "ContourImageSequence"))
    frames |= {str(item.get("ReferencedFrameOfReferenceUID", "") or "") for item in header.get("StructureSetROISequence") or []}
    return _references(drawn_on, listed, series, frames)


def _references(drawn_on: set[Image], listed: set[Image], series: set[str], frames: set[str]) -> References:
    named = [frozenset(image for image in images if image[0]) for images in (drawn_on, listed)]
    return References(named[0], named[1], frozenset(series - {""}), frozenset(frames - {""}))


def _images(holder: Dataset, keyword: str) -> Iterator[Image]:
    for item in holder.get(keyword) or []:
        uid = str(item.get("ReferencedSOPInstanceUID", "") or "")
        numbers = item.get("ReferencedFrameNumber")
        frames = [numbers] if isinstance(numbers, int | str) else list(numbers or [])
        yield from ((uid, int(number)) for number in frames or [0])


@dataclass
class VolumeIndex:
    """Where images, series and frames of reference are among the accepted volumes, by series key.

    Attributes:
        images: instance → frame (from 1) → keys.
        series: series instance → keys.
        frames: frame of reference → keys.
    """

    images: dict[str, dict[int, set[str]]] = field(default_factory=dict)
    series: dict[str, set[str]] = field(default_factory=dict)
    frames: dict[str, set[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, volumes: Mapping[str, tuple[VolumeRef, SliceGroup]]) -> VolumeIndex:
        """Return the index of some volumes."""
        index = cls()
        for key, (_, group) in volumes.items():
            for item in group.slices:
                index.images.setdefault(raw_text(item.header, INSTANCE), {}).setdefault(item.frame + 1, set()).add(key)
            index.series.setdefault(raw_text(group.header, SERIES), set()).add(key)
            index.frames.setdefault(raw_text(group.header, FRAME_OF_REFERENCE), set()).add(key)
        return index

    def referred(self, references: References) -> set[str]:
        """Return the keys of the volumes that a label refers to most closely; what it says less closely decides between them."""
        nearest: set[str] = set()
        for named in (self._holding(references.drawn_on), self._holding(references.listed), self._of_series(references.series)):
            nearest = (nearest & named or nearest) if nearest else named
        return nearest

    def in_frame(self, references: References) -> set[str]:
        """Return the keys of the volumes that lie in a frame of reference of a label."""
        return {key for frame in references.frames for key in self.frames.get(frame, ())}

    def missing(self, images: frozenset[Image]) -> int:
        """Return how many images are in no accepted volume."""
        return sum(not self._of_image(image) for image in images)

    def _of_image(self, image: Image) -> set[str]:
        uid, frame = image
        frames = self.images.get(uid, {})
        return {key for number, keys in frames.items() if frame in (0, number) for key in keys}

    def _holding(self, images: frozenset[Image]) -> set[str]:
        return {key for image in images for key in self._of_image(image)}

    def _of_series(self, series: frozenset[str]) -> set[str]:
        return {key for uid in series for key in self.series.get(uid, ())}
