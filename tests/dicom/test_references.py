"""A label belongs to what it names most closely; what it says less closely decides between equals."""

from __future__ import annotations

import pytest
from pydicom import Dataset

from medkd.dicom.labels.references import References, VolumeIndex, segmentation_references, structure_set_references
from tests.dicom.drawn import item
from tests.dicom.invented import group_of, slice_at, volume


def stack(series, frame="1.3.3"):
    places = (0, 2, 4)
    named = {"SeriesInstanceUID": series, "FrameOfReferenceUID": frame}
    return group_of([slice_at(z, name=f"{series}-{z}", SOPInstanceUID=f"{series}.{z}", **named) for z in places])


@pytest.fixture(scope="module")
def index():
    return VolumeIndex.of({"a": (volume("a"), stack("1.1")), "b": (volume("b"), stack("1.2")), "c": (volume("c"), stack("1.9", "1.8"))})


def images(*uids):
    return frozenset((uid, 0) for uid in uids)


@pytest.mark.parametrize(
    ("references", "wanted"),
    [
        (References(drawn_on=images("1.1.0"), listed=images("1.2.0"), series=frozenset({"1.2"})), {"a"}),
        (References(listed=images("1.1.0", "1.2.0"), series=frozenset({"1.2"})), {"b"}),
        (References(series=frozenset({"1.1", "1.2"})), {"a", "b"}),
        (References(drawn_on=images("7.7"), series=frozenset({"1.1"})), {"a"}),
        (References(drawn_on=images("7.7")), set()),
    ],
)
def test_the_nearest_reference_decides(index, references, wanted):
    assert index.referred(references) == wanted


def test_a_part_whose_image_did_not_come_belongs_to_none(index):
    references = References(series=frozenset({"1.1"}))
    assert index.of_part(images("1.1.2"), references) == {"a"}
    assert index.of_part(images("7.7"), references) == frozenset()
    assert index.missing(images("1.1.2", "7.7", "7.8")) == 2


def test_frames_are_counted_from_one_and_none_stands_for_all(index):
    assert index.referred(References(drawn_on=frozenset({("1.1.0", 1)}))) == {"a"}
    assert index.referred(References(drawn_on=frozenset({("1.1.0", 2)}))) == set()


def test_a_frame_of_reference_holds_all_volumes_that_lie_in_it(index):
    assert index.in_frame(References(frames=frozenset({"1.3.3"}))) == {"a", "b"}
    assert not References(frames=frozenset({"1.3.3"}))
    assert References(series=frozenset({"1.1"}))


def test_frames_of_a_segmentation_without_a_source_of_their_own_have_the_shared_one():
    def source(uid, **more):
        return item(DerivationImageSequence=[item(SourceImageSequence=[item(ReferencedSOPInstanceUID=uid, **more)])])

    header = item(
        SharedFunctionalGroupsSequence=[source("1.1.0")],
        PerFrameFunctionalGroupsSequence=[source("1.1.2", ReferencedFrameNumber=3), Dataset()],
        ReferencedSeriesSequence=[item(SeriesInstanceUID="1.1", ReferencedInstanceSequence=[item(ReferencedSOPInstanceUID="1.1.4")])],
        FrameOfReferenceUID="1.3.3",
    )
    found = segmentation_references(header)
    assert found.parts == (frozenset({("1.1.2", 3)}), images("1.1.0"))
    assert found.drawn_on == {("1.1.2", 3), ("1.1.0", 0)}
    assert (found.listed, found.series, found.frames) == (images("1.1.4"), {"1.1"}, {"1.3.3"})


def test_a_structure_set_names_images_by_contour_and_lists_series_by_frame_of_reference():
    listed = item(SeriesInstanceUID="1.1", ContourImageSequence=[item(ReferencedSOPInstanceUID="1.1.4")])
    frame = item(FrameOfReferenceUID="1.3.3", RTReferencedStudySequence=[item(RTReferencedSeriesSequence=[listed])])
    contours = [item(ContourImageSequence=[item(ReferencedSOPInstanceUID="1.1.0")]), Dataset()]
    header = item(ReferencedFrameOfReferenceSequence=[frame], ROIContourSequence=[item(ContourSequence=contours)])
    found = structure_set_references(header)
    assert found.parts == (images("1.1.0"), frozenset())
    assert (found.listed, found.series, found.frames) == (images("1.1.4"), {"1.1"}, {"1.3.3"})
