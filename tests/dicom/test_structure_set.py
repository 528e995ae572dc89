"""Contours are filled on the slices they were drawn on; what encloses nothing is told of."""

from __future__ import annotations

import json

import numpy as np
import pytest
from matplotlib.path import Path

from data_contracts import Action, IngestCode, IngestError, IngestPolicy, Outcome
from medkd.dicom.labels.structure_set import coded_type, structure_set_slices, voxels_of
from tests.dicom.drawn import Ingested, box, draw_series, draw_structures, item, point, reread
from tests.dicom.invented import found, volume

BIG = np.zeros((8, 20, 24), bool)
BIG[1:7, 2:16, 3:20] = True
SMALL = np.zeros((8, 20, 24), bool)
SMALL[3:5, 4:9, 6:12] = True


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "study"


def regions(series, order, **kinds):
    large, small = box(series, range(1, 7), (1.5, 15.5), (2.5, 19.5)), box(series, range(3, 5), (3.5, 8.5), (5.5, 11.5))
    drawn = {"Liver": large, "GTV_1": small}
    return [(number, name, kinds.get(name, "ORGAN"), drawn[name]) for number, name in enumerate(order, start=3)]


@pytest.mark.parametrize("order", [("Liver", "GTV_1"), ("GTV_1", "Liver")])
def test_regions_keep_their_names_and_the_smaller_one_wins_whatever_their_numbers(folder, order):
    series = draw_series(folder / "ct")
    draw_structures(folder / "rs.dcm", series, regions(series, order), drawn_on=series)
    found = Ingested(folder)
    assert found.structures() == {"Liver": int(BIG.sum() - SMALL.sum()), "GTV_1": int(SMALL.sum())}
    assert {segment.name: segment.voxels for segment in found.labelled().label.segments} == {
        "Liver": int(BIG.sum()),
        "GTV_1": int(SMALL.sum()),
    }
    payload = json.loads(found.outcome("rs.dcm").evidence)["OVERLAPPING_SEGMENTS"]
    assert payload["overlaps"] == [{"winner": "GTV_1", "loser": "Liver", "voxels": int(SMALL.sum())}]
    assert json.loads(found.labelled().label.evidence[IngestCode.OVERLAPPING_SEGMENTS])["voxels"] == int(SMALL.sum())


@pytest.mark.parametrize(
    ("contours", "words"),
    [
        ("small", "hold no voxel centre"),
        ("line", "hold no voxel centre"),
        ("single", "hold no voxel centre"),
        ("none", "never drawn"),
        ("outside", "hold no voxel centre"),
    ],
)
def test_a_region_that_holds_no_voxel_is_flagged_with_its_name(folder, contours, words):
    series = draw_series(folder / "ct")
    drawn = {
        "small": box(series, [3], (5.2, 5.7), (6.2, 6.7)),
        "line": [(3, [point(series[3], 4, 4), point(series[3], 9, 4)])],
        "single": [(3, [point(series[3], 4, 4)])],
        "none": [],
        "outside": box(series, [3], (40, 50), (40, 50)),
    }[contours]
    large = box(series, range(1, 7), (1.5, 15.5), (2.5, 19.5))
    draw_structures(folder / "rs.dcm", series, [(1, "Eye_L", "ORGAN", large), (2, "Lens_L", "ORGAN", drawn)], drawn_on=series)
    found = Ingested(folder)
    assert found.outcome("rs.dcm").findings == (IngestCode.STRUCTURE_LOST,)
    lost = json.loads(found.outcome("rs.dcm").evidence)["STRUCTURE_LOST"]["structures"]
    assert list(lost) == ["Lens_L"]
    assert words in lost["Lens_L"]
    assert found.structures() == {"Eye_L": int(BIG.sum()), "Lens_L": 0}


def test_a_slice_of_a_region_that_holds_no_voxel_is_flagged_too(folder):
    series = draw_series(folder / "ct")
    drawn = [*box(series, [2, 3], (3.5, 8.5), (5.5, 11.5)), *box(series, [4], (5.2, 5.7), (6.2, 6.7))]
    draw_structures(folder / "rs.dcm", series, [(1, "Lens_L", "ORGAN", drawn)], drawn_on=series)
    found = Ingested(folder)
    assert "slices 4 of 3" in json.loads(found.outcome("rs.dcm").evidence)["STRUCTURE_LOST"]["structures"]["Lens_L"]


def test_a_region_that_leaves_the_image_is_cut_off_and_flagged(folder):
    series = draw_series(folder / "ct")
    drawn = box(series, [2, 3], (3.5, 8.5), (15.5, 31.0))
    draw_structures(folder / "rs.dcm", series, [(1, "BODY", "EXTERNAL", drawn)], drawn_on=series)
    found = Ingested(folder)
    assert found.structures() == {"BODY": 2 * 5 * 8}
    assert "beyond the image on slices 2, 3" in json.loads(found.outcome("rs.dcm").evidence)["STRUCTURE_LOST"]["structures"]["BODY"]


def test_a_contour_that_is_written_twice_does_not_take_itself_back(folder):
    series = draw_series(folder / "ct")
    once = box(series, range(1, 7), (1.5, 15.5), (2.5, 19.5))
    again = [(place, np.roll(points, 2, axis=0)[::-1]) for place, points in once]
    draw_structures(folder / "rs.dcm", series, [(1, "Liver", "ORGAN", once + again)], drawn_on=series)
    assert Ingested(folder).structures() == {"Liver": int(BIG.sum())}


def test_exclusive_contours_take_one_another_back(folder):
    series = draw_series(folder / "ct")
    drawn = [*box(series, range(1, 7), (1.5, 15.5), (2.5, 19.5)), *box(series, range(3, 5), (3.5, 8.5), (5.5, 11.5))]
    draw_structures(folder / "rs.dcm", series, [(1, "Liver", "ORGAN", drawn)], drawn_on=series, kind="CLOSEDPLANAR_XOR")
    assert (Ingested(folder).label() == (BIG & ~SMALL)).all()


def test_contours_of_a_region_that_overlap_in_part_are_united(folder):
    series = draw_series(folder / "ct")
    drawn = [
        *box(series, [3], (1.5, 8.5), (2.5, 9.5)),
        *box(series, [3], (4.5, 12.5), (6.5, 15.5)),
        *box(series, [3], (2.5, 3.5), (4.5, 6.5)),
    ]
    draw_structures(folder / "rs.dcm", series, [(1, "Liver", "ORGAN", drawn)], drawn_on=series)
    wanted = np.zeros_like(BIG)
    wanted[3, 2:9, 3:10] = True
    wanted[3, 5:13, 7:16] = True
    wanted[3, 3, 5:7] = False
    assert (Ingested(folder).label() == wanted).all()


def open_some(path, kind, region, which):
    def change(dataset):
        for contour in list(dataset.ROIContourSequence[region].ContourSequence)[which]:
            contour.ContourGeometricType = kind

    reread(path, change)


@pytest.mark.parametrize("kind", ["OPEN_PLANAR", "OPEN_NONPLANAR", "CLOSED_NONPLANAR", "POINT", "JANE_DOE"])
def test_an_open_contour_is_left_out_alone_and_flagged_with_the_name_of_its_region(folder, kind):
    series = draw_series(folder / "ct")
    draw_structures(folder / "rs.dcm", series, regions(series, ("Liver", "GTV_1")), drawn_on=series)
    open_some(folder / "rs.dcm", kind, 0, slice(0, 2))
    found = Ingested(folder)
    payload = json.loads(found.outcome("rs.dcm").evidence)["OPEN_CONTOUR"]["structures"]
    assert payload == {"Liver": {"of no defined kind" if kind == "JANE_DOE" else kind: 2}}
    assert {s.name: s.voxels for s in found.labelled().label.segments} == {"Liver": int(BIG[3:].sum()), "GTV_1": int(SMALL.sum())}
    assert IngestCode.STRUCTURE_LOST not in found.outcome("rs.dcm").findings


def test_a_region_of_open_contours_alone_is_a_structure_lost(folder):
    series = draw_series(folder / "ct")
    draw_structures(folder / "rs.dcm", series, regions(series, ("Liver", "GTV_1")), drawn_on=series)
    open_some(folder / "rs.dcm", "OPEN_PLANAR", 1, slice(None))
    found = Ingested(folder)
    evidence = json.loads(found.outcome("rs.dcm").evidence)
    assert evidence["STRUCTURE_LOST"]["structures"] == {"GTV_1": "no closed contour: 2 OPEN_PLANAR"}
    assert evidence["OPEN_CONTOUR"]["structures"] == {"GTV_1": {"OPEN_PLANAR": 2}}
    assert (found.label() == BIG).all()
    strict = IngestPolicy(actions={IngestCode.OPEN_CONTOUR: Action.REJECT})
    refused = Ingested(folder, strict, out="strict").outcome("rs.dcm")
    assert refused.code is IngestCode.OPEN_CONTOUR
    assert "GTV_1 (2 OPEN_PLANAR)" in refused.evidence


def test_a_contour_that_is_short_of_a_coordinate_is_flagged(folder):
    series = draw_series(folder / "ct")
    draw_structures(folder / "rs.dcm", series, regions(series, ("Liver", "GTV_1")), drawn_on=series)

    def shorten(dataset):
        contour = dataset.ROIContourSequence[0].ContourSequence[0]
        contour.ContourData = contour.ContourData[:-1]

    reread(folder / "rs.dcm", shorten)
    payload = json.loads(Ingested(folder).outcome("rs.dcm").evidence)["OPEN_CONTOUR"]["structures"]
    assert payload == {"Liver": {"CLOSED_PLANAR of 11 coordinates": 1}}


def shifted(series, slices):
    """Return where the images of a series would lie if they were moved along its normal by a part of a slice of 2 mm."""
    found = []
    for image in series:
        x, y, z = (float(part) for part in image.ImagePositionPatient)
        found.append(
            item(
                ImagePositionPatient=[x, y, z + 2.0 * slices],
                ImageOrientationPatient=image.ImageOrientationPatient,
                PixelSpacing=image.PixelSpacing,
            )
        )
    return found


REPAIR = IngestPolicy(actions={IngestCode.CONTOUR_OFF_PLANE: Action.REPAIR})


@pytest.mark.parametrize("slices", [0.3, -0.3, 0.49])
def test_contours_between_slices_go_to_the_nearest_slice_where_the_policy_repairs_them(folder, slices):
    series = draw_series(folder / "ct")
    drawn = box(shifted(series, slices), range(1, 7), (1.5, 15.5), (2.5, 19.5))
    draw_structures(folder / "rs.dcm", series, [(1, "Liver", "ORGAN", drawn)], drawn_on=series)
    refused = Ingested(folder).outcome("rs.dcm")
    assert refused.code is IngestCode.CONTOUR_OFF_PLANE
    assert "6 of Liver" in json.loads(refused.evidence)["what"]
    repaired = Ingested(folder, REPAIR, "repaired")
    assert (repaired.label() == BIG).all()
    evidence = json.loads(repaired.outcome("rs.dcm").evidence)["CONTOUR_OFF_PLANE"]
    assert evidence["structures"] == {"Liver": 6}
    assert evidence["off_mm"] == pytest.approx(2.0 * abs(slices))
    assert IngestCode.CONTOUR_OFF_PLANE.value in {code.value for code in repaired.labelled().label.evidence}


def test_a_contour_in_the_middle_of_two_slices_is_nearest_to_neither(folder):
    series = draw_series(folder / "ct")
    drawn = box(shifted(series, 0.5), range(1, 6), (1.5, 15.5), (2.5, 19.5))
    draw_structures(folder / "rs.dcm", series, [(1, "Liver", "ORGAN", drawn)], drawn_on=series)
    assert Ingested(folder, REPAIR).outcome("rs.dcm").code is IngestCode.LABEL_GEOMETRY_MISMATCH


def test_of_contours_that_lie_closer_than_slices_each_slice_takes_those_of_its_nearest_plane(folder):
    series = draw_series(folder / "ct")
    # Were those a third of a slice above taken along, they would be holes of what encloses them.
    inner = box(shifted(series, 1 / 3), range(1, 7), (4.5, 8.5), (6.5, 12.5))
    draw_structures(
        folder / "rs.dcm", series, [(1, "Liver", "ORGAN", [*inner, *box(series, range(1, 7), (1.5, 15.5), (2.5, 19.5))])], drawn_on=series
    )
    assert (Ingested(folder, REPAIR).label() == BIG).all()


def test_a_contour_between_the_slices_of_one_volume_that_lies_on_those_of_another_belongs_to_that(folder):
    first = draw_series(folder / "one")
    second = draw_series(folder / "two", series="two", origin=(-10.0, -14.0, 30.6))
    drawn = box(second, range(1, 7), (1.5, 15.5), (2.5, 19.5))
    draw_structures(folder / "rs.dcm", second, [(1, "Liver", "ORGAN", drawn)], listed=[first, second])
    found = Ingested(folder, REPAIR)
    assert found.outcome("rs.dcm").outcome is Outcome.ACCEPTED
    assert IngestCode.CONTOUR_OFF_PLANE not in found.labelled().label.evidence
    assert found.labelled().geometry.affine_lps_mm[2][3] == pytest.approx(30.6)
    assert (found.label() == BIG).all()


def circle(row, column, radius, points=40):
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False) + 0.1
    return np.array([row, column]) + radius * np.stack([np.sin(angle), np.cos(angle)], axis=1)


def keyhole(outer, inner):
    """Return one contour that goes round, to its hole by a bridge of no width, round that the other way, and back."""
    distance = np.linalg.norm(outer[:, None] - inner[None], axis=2)
    near = np.unravel_index(distance.argmin(), distance.shape)
    outer, inner = np.roll(outer, -near[0], axis=0), np.roll(inner, -near[1], axis=0)[::-1]
    inner = np.roll(inner, 1, axis=0)
    return np.concatenate([outer, outer[:1], inner, inner[:1]])


def encloses(points, shape=(20, 24)):
    """Return the voxels whose centre a simple polygon encloses, by the library that draws figures; none lies within rounding of its edge."""
    centres = np.stack(np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij"), -1).reshape(-1, 2)
    found = [Path(points).contains_points(centres + shift) for shift in ([0, 0], [0.01, 0], [0, 0.01], [-0.01, 0], [0, -0.01])]
    assert all((one == found[0]).all() for one in found)
    return found[0].reshape(shape)


OBLIQUE = tuple(np.round(np.array([[np.cos(0.3), np.sin(0.3), 0], [-np.sin(0.3) * 0.6, np.cos(0.3) * 0.6, 0.8]]), 6).ravel())
OUTER, HOLE, ISLAND, OTHER, SPOT = (
    circle(9.2, 9.3, 7.5),
    circle(9.6, 9.1, 4.28),
    circle(9.4, 9.25, 1.96),
    circle(4.8, 20.1, 2.55),
    circle(15.2, 19.9, 1.72),
)
WRITTEN = {
    "hole as a contour": [OUTER, HOLE],
    "hole before its contour": [HOLE, OUTER],
    "keyhole": [keyhole(OUTER, HOLE)],
    "hole, island and two contours apart": [SPOT, ISLAND, OUTER, OTHER, HOLE],
    "keyhole, island and two contours apart": [ISLAND, keyhole(OUTER, HOLE), SPOT, OTHER],
}


@pytest.mark.parametrize("axes", [(1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1), OBLIQUE], ids=["axial", "sagittal", "oblique"])
@pytest.mark.parametrize("decimals", [2, 4])
@pytest.mark.parametrize("name", WRITTEN)
def test_holes_keyholes_islands_and_contours_apart_give_the_same_voxels_however_they_are_written(folder, name, decimals, axes):
    series = draw_series(folder / "ct", axes=axes)
    drawn = [(place, np.array([point(series[place], *corner) for corner in points])) for place in (2, 3) for points in WRITTEN[name]]
    draw_structures(folder / "rs.dcm", series, [(1, "Liver", "ORGAN", drawn)], drawn_on=series, decimals=decimals)
    wanted = encloses(OUTER) & ~encloses(HOLE)
    if "island" in name:
        wanted |= encloses(ISLAND) | encloses(OTHER) | encloses(SPOT)
    label = Ingested(folder).label()
    assert (label[2:4] == wanted).all()
    assert label.sum() == 2 * wanted.sum()


def test_contours_on_the_slices_of_a_tilted_gantry_are_filled_on_them(folder):
    """Each slice lies 0.5 mm further along its columns than the one before: planes are parallel, positions no stack of right angles."""
    series = draw_series(folder / "ct")
    for number, (path, image) in enumerate(zip(sorted((folder / "ct").iterdir()), series, strict=True)):
        x, y, z = (float(part) for part in image.ImagePositionPatient)
        image.ImagePositionPatient = [x, y + 0.5 * number, z]
        reread(path, lambda dataset, image=image: setattr(dataset, "ImagePositionPatient", image.ImagePositionPatient))
    draw_structures(folder / "rs.dcm", series, [(1, "Liver", "ORGAN", box(series, range(1, 7), (1.5, 15.5), (2.5, 19.5)))], drawn_on=series)
    accepted = IngestPolicy(actions={IngestCode.GANTRY_TILT: Action.ACCEPT_WITH_FLAG})
    assert (Ingested(folder, accepted).label() == BIG).all()


@pytest.mark.parametrize("policy", [IngestPolicy(), REPAIR], ids=["default", "repair"])
@pytest.mark.parametrize(
    ("heights", "said"), [((0, 0, 3, 3), "slices off"), ((20, 20, 20, 20), "slice 13 of 8")], ids=["across slices", "beyond"]
)
def test_a_contour_across_slices_or_beyond_them_is_refused_whatever_the_policy(folder, heights, said, policy):
    series = draw_series(folder / "ct")
    ((place, points),) = box(series, [3], (3.5, 8.5), (5.5, 11.5))
    moved = [corner + np.array([0, 0, height]) for corner, height in zip(points, heights, strict=True)]
    regions = [(1, "Liver", "ORGAN", [*box(series, [2], (1.5, 15.5), (2.5, 19.5)), (place, moved)])]
    draw_structures(folder / "rs.dcm", series, regions, drawn_on=series)
    outcome = Ingested(folder, policy).outcome("rs.dcm")
    assert outcome.code is IngestCode.LABEL_GEOMETRY_MISMATCH
    assert said in outcome.evidence


def test_points_in_mm_are_voxels_of_the_volume():
    geometry = volume().geometry
    points = np.array([geometry.position_lps_mm(*place) for place in ((0, 0, 0), (1, 2, 3), (0.5, -1, 2.25))])
    assert voxels_of(points, geometry) == pytest.approx(np.array([(0, 0, 0), (1, 2, 3), (0.5, -1, 2.25)]))


def test_a_code_may_be_long_or_a_urn():
    for keyword in ("CodeValue", "LongCodeValue", "URNCodeValue"):
        found_code = coded_type(item(**{keyword: "1234"}, CodingSchemeDesignator="SCT", CodeMeaning="Liver"))
        assert found_code == {"scheme": "SCT", "code": "1234", "meaning": "Liver"}
    assert coded_type(None) == {"scheme": "", "code": "", "meaning": ""}


def test_a_contour_lies_on_the_slice_of_its_points_or_on_none(tmp_path):
    series = draw_series(tmp_path / "ct")
    draw_structures(tmp_path / "rs.dcm", series, [(1, "Liver", "ORGAN", box(series, [2], (1, 4), (1, 4)))])
    (on_slice,) = structure_set_slices(found(str(tmp_path / "rs.dcm")))
    geometry = volume(shape=(8, 20, 24)).geometry
    x, y, z = (float(part) for part in series[0].ImagePositionPatient)

    def moved(by):
        lines = tuple((*line[:3], value) for line, value in zip(geometry.affine_lps_mm[:3], (x, y, z + by), strict=True))
        return geometry.model_copy(update={"affine_lps_mm": (*lines, geometry.affine_lps_mm[3])})

    assert list(on_slice(moved(0))) == [2]
    with pytest.raises(IngestError):
        on_slice(moved(1.0))
