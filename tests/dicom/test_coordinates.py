"""Volumes of one series are told apart by numbers and defined words that a program can choose by."""

from __future__ import annotations

from dataclasses import replace

import pytest

from data_contracts import StoreManifest, load_record
from medkd.dicom.coordinates import series_coordinates
from tests.dicom.invented import group_of, slice_at
from tests.dicom.stacks import CLASSIC, enhanced, of, stack
from tests.dicom.voxels import ingested


def coordinates(folder):
    """Ingest a folder and return the coordinates of each volume, in the order of how bright they are, each as the store and the report say it."""
    report, volumes = ingested(folder)
    assert report.codes() == {}
    manifest = load_record(folder.parent / "store-None" / "manifest.json", StoreManifest)
    kept = {one.series_key: one.coordinates for one in manifest.series}
    said = {line["series_key"]: line["coordinates"] for line in report.summary()["series"]}
    ordered = [volume.series_key for volume, _ in sorted(volumes, key=lambda pair: pair[1].mean())]
    assert [kept[key] for key in ordered] == [
        {name: tuple(value) if isinstance(value, list) else value for name, value in said[key].items()} for key in ordered
    ]
    return [kept[key] for key in ordered]


def test_diffusion_volumes_have_their_b_value_and_direction(tmp_path):
    directions = [None, (1.0, 0.0, 0.0), (0.6, 0.8, 0.0), (1.0, 0.0, 0.0)]
    b_values = [0, 1000, 1000, 2000]

    def label(dataset, n):
        for name in ("DiffusionBValue", "DiffusionGradientOrientation"):
            if name in dataset:
                del dataset[name]
        dataset.Modality, dataset.ImageType = "MR", ["ORIGINAL", "PRIMARY", "DIFFUSION"]
        dataset.DiffusionBValue = float(b_values[n])
        if directions[n]:
            dataset.DiffusionGradientOrientation = list(directions[n])

    found = coordinates(stack(tmp_path / "in", 4, label))
    assert [one["DiffusionBValue"] for one in found] == b_values
    # Where the b-value alone parts volumes, the direction is that of all its slices and tells nothing apart.
    assert [one.get("DiffusionGradientOrientation") for one in found][1:3] == directions[1:3]
    assert len({str(one) for one in found}) == 4


@pytest.mark.parametrize("numbered", [False, True])
def test_echoes_have_their_echo_time_whether_or_not_they_are_numbered(tmp_path, numbered):
    def label(dataset, n):
        dataset.EchoTime = 4.6 + 2.3 * n
        if numbered:
            dataset.EchoNumbers = n + 1

    found = coordinates(stack(tmp_path / "in", 3, label))
    assert [one["EchoTime"] for one in found] == pytest.approx([4.6, 6.9, 9.2])
    assert [one.get("EchoNumbers") for one in found] == ([1, 2, 3] if numbered else [None] * 3)


def test_dynamic_volumes_have_their_time_point_and_never_a_time_of_day(tmp_path):
    numbered = coordinates(stack(tmp_path / "a" / "in", 3, lambda dataset, n: setattr(dataset, "TemporalPositionIdentifier", n + 1)))
    assert numbered == [{"TemporalPositionIdentifier": n} for n in (1, 2, 3)]
    # Written backwards: the place among the moments, not among the files.
    timed = coordinates(stack(tmp_path / "b" / "in", 3, lambda dataset, n: setattr(dataset, "AcquisitionTime", f"10150{9 - n}.5")))
    assert timed == [{"TimePoint": n} for n in (3, 2, 1)]


PLACED = {
    "AcquisitionDateTime": "TimePoint",
    **dict.fromkeys(("InPlanePhaseEncodingDirection", "SequenceName", "NominalInterval", "ReceiveCoilName"), "Part"),
}


@pytest.mark.parametrize("keyword", CLASSIC)
def test_what_parts_a_series_is_a_number_a_defined_word_or_a_place(tmp_path, keyword):
    values = CLASSIC[keyword]
    found = coordinates(stack(tmp_path / "in", 2, lambda dataset, n: setattr(dataset, keyword, values[n])))
    if keyword in PLACED:
        assert found == [{PLACED[keyword]: 1 + sorted(values).index(value)} for value in values]
    else:
        assert found == [{keyword: value} for value in values]


def test_frames_of_one_object_have_coordinates_too(tmp_path):
    groups = [
        {
            "FrameContentSequence": of(StackID="1", InStackPositionNumber=z + 1, TemporalPositionIndex=time + 1),
            "MREchoSequence": of(EffectiveEchoTime=10.0 + 20 * echo),
        }
        for echo in (0, 1)
        for time in (0, 1)
        for z in range(6)
    ]
    frames = [(3.0 * (place % 6), place // 6, extra) for place, extra in enumerate(groups)]
    enhanced(tmp_path / "in" / "one.dcm", frames)
    assert coordinates(tmp_path / "in") == [
        {"TemporalPositionIndex": time, "EffectiveEchoTime": echo} for echo in (10.0, 30.0) for time in (1, 2)
    ]


def test_magnitude_and_phase_have_the_defined_term(tmp_path):
    def label(dataset, n):
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "MP"[n], "NAME OF A PERSON"]

    assert coordinates(stack(tmp_path / "in", 2, label)) == [{"ImageType": "M"}, {"ImageType": "P"}]


def test_a_series_that_is_one_volume_has_none(tmp_path):
    assert coordinates(stack(tmp_path / "in", 1, lambda dataset, _: setattr(dataset, "EchoTime", 5))) == [{}]


GROUP = group_of([slice_at(z) for z in (0, 2, 4, 6)])


def test_two_attributes_that_may_not_be_said_are_two_parts_and_what_is_no_number_is_none():
    groups = [replace(GROUP, acquisition_key=key) for key in "ab"]
    assert series_coordinates(groups, ["Part=1; Part=2", "EchoTime=nan; FlipAngle=9"]) == [{"Part": 1, "Part2": 2}, {"FlipAngle": 9}]


def test_what_stands_in_the_place_of_a_number_is_not_repeated():
    slices = [slice_at(z, DiffusionBValue=800.0) for z in (0, 2, 4, 6)]
    texts = [("ORIGINAL\\PRIMARY\\DOE\\PHASE", "DOE^JANE", "800", ""), ("ORIGINAL\\PRIMARY\\M", "1", "DOE", "")]
    groups = [replace(group_of(slices), slices=tuple(replace(one, contrast=text) for one in slices)) for text in texts]
    assert series_coordinates(groups, ["", ""]) == [{"ImageType": "PHASE", "DiffusionBValue": 800}, {"ImageType": "M", "EchoNumbers": 1}]


def test_an_echo_time_that_varies_within_a_volume_is_none_of_its_coordinates():
    mixed = group_of([slice_at(z, EchoNumbers=1, EchoTime=time) for z, time in zip((0, 2, 4, 6), (5, 5, 7, 7), strict=True)])
    plain = group_of([slice_at(z, EchoNumbers=2, EchoTime=9) for z in (0, 2, 4, 6)])
    assert series_coordinates([mixed, plain], ["", ""]) == [{"EchoNumbers": 1}, {"EchoNumbers": 2, "EchoTime": 9}]
