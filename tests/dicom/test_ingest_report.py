"""What a report says of series and labels."""

from __future__ import annotations

import json
from pathlib import Path

from data_contracts import IngestCode, LabelRef, Ref
from medkd.dicom.confidentiality.describe import describe_series
from medkd.dicom.ingest_report import NIFTI, label_evidence, reported_series, table_rows
from medkd.dicom.series_words import nifti_name
from tests.dicom.invented import group_of, slice_at, volume

GROUP = group_of([slice_at(z) for z in (4, 0, 2, 6)])
CODE = IngestCode.OVERLAPPING_SEGMENTS


def label(**evidence):
    one = volume()
    found = {CODE: json.dumps(evidence)} if evidence else {}
    return LabelRef(array=Ref(store="store", key="labels/x", sha256="0" * 64), geometry=one.geometry, segments=(), volume_sha256="0" * 64,
                    flags=tuple(found), evidence=found)  # fmt: skip


def test_a_line_names_the_first_file_and_what_was_invented():
    described = describe_series(volume(), GROUP.header, b"k", coordinates={"EchoTime": 4.6})
    line = reported_series(volume(synthetic_slices=(1, 2)), GROUP, Path("qc/x.png"), "CT axial", described)
    assert (line.first_file, line.synthetic_slices, line.picture, line.words) == ("+00000.00.dcm", 2, "qc/x.png", "CT axial")
    assert line.coordinates == {"EchoTime": 4.6}


def test_what_is_alike_in_all_volumes_of_a_label_is_said_once():
    assert label_evidence({"s1": label(voxels=3)}) == {CODE: {"voxels": 3}}
    assert label_evidence({"s1": label(voxels=3), "s2": label(voxels=3)}) == {CODE: {"voxels": 3}}


def test_what_differs_between_volumes_of_a_label_is_said_for_each():
    assert label_evidence({"s1": label(voxels=3), "s2": label(voxels=4)}) == {CODE: {"s1": {"voxels": 3}, "s2": {"voxels": 4}}}
    assert label_evidence({"s1": label(voxels=3), "s2": label()}) == {CODE: {"s1": {"voxels": 3}}}


def test_a_row_of_the_table_names_the_nifti_only_where_it_is(tmp_path):
    one = volume()
    rows = [next(table_rows({"s1": (one, GROUP)}, {"s1": "words"}, tmp_path / "in", tmp_path))]
    (tmp_path / NIFTI).mkdir()
    (tmp_path / NIFTI / nifti_name(one)).touch()
    rows.append(next(table_rows({"s1": (one, GROUP)}, {"s1": "words"}, tmp_path / "in", tmp_path)))
    assert [row["nifti"] for row in rows] == ["", f"{NIFTI}/{nifti_name(one)}"]
    assert (rows[0]["files"], rows[0]["first_file"], rows[0]["source"]) == ("4", "+00000.00.dcm", str(tmp_path / "in"))
