"""What a label says it was drawn on, and which of the accepted volumes that is.

Nearest first: the image of each frame or contour, the images listed, the series listed. Frame of reference and geometry decide only for a
label that names no image and no series. Source: PS3.3 C.7.6.16.2.6 (derivation image), C.12.3.1 (common instance reference), C.8.8.5,
C.8.8.6 (structure set, ROI contour).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

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
        parts: images that each of its frames or contours was drawn on, in their order.
    """

    drawn_on: frozenset[Image] = frozenset()
    listed: frozenset[Image] = frozenset()
    series: frozenset[str] = frozenset()
    frames: frozenset[str] = frozenset()
    parts: tuple[frozenset[Image], ...] = ()

    def __bool__(self) -> bool:
        """Return whether an image or a series is named."""
        return bool(self.drawn_on or self.listed or self.series)


def segmentation_references(header: Dataset) -> References:
    """Return what a DICOM SEG refers to."""
    shared = {image for group in header.get("SharedFunctionalGroupsSequence") or [] for image in derived_from(group)}
    parts = [set(derived_from(group)) or shared for group in header.get("PerFrameFunctionalGroupsSequence") or []]
    listed = {image for keyword in ("SourceImageSequence", "ReferencedImageSequence") for image in _images(header, keyword)}
    series: set[str] = set()
    others = header.get("StudiesContainingOtherReferencedInstancesSequence") or []
    for holder in (header, *others):
        for item in holder.get("ReferencedSeriesSequence") or []:
            series.add(str(item.get("SeriesInstanceUID", "") or ""))
            listed |= set(_images(item, "ReferencedInstanceSequence"))
    return _references(parts, listed, series, {raw_text(header, FRAME_OF_REFERENCE)}, shared)


def derived_from(group: Dataset) -> Iterator[Image]:
    """Yield the images that a functional group names as the source of its frame."""
    for derivation in group.get("DerivationImageSequence") or []:
        yield from _images(derivation, "SourceImageSequence")


def structure_set_references(header: Dataset) -> References:
    """Return what an RTSTRUCT refers to."""
    parts = [
        set(_images(contour, "ContourImageSequence"))
        for region in header.get("ROIContourSequence") or []
        for contour in region.get("ContourSequence") or []
    ]
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
    return _references(parts, listed, series, frames)


def _references(
    parts: list[set[Image]], listed: set[Image], series: set[str], frames: set[str], shared: Iterable[Image] = ()
) -> References:
    named = [frozenset(image for image in images if image[0]) for images in parts]
    drawn_on = frozenset(image for image in shared if image[0]).union(*named)
    known = frozenset(image for image in listed if image[0])
    return References(drawn_on, known, frozenset(series - {""}), frozenset(frames - {""}), tuple(named))


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
            for item in (*group.slices, *group.aside):  # a repeat that is not used is the same image
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

    def of_part(self, images: frozenset[Image], references: References) -> frozenset[str]:
        """Return the keys of the volumes that one frame or contour of a label was drawn on; none where its images did not come."""
        return frozenset(self.referred(replace(references, drawn_on=images)) if self._holding(images) else ())

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
