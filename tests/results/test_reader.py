"""OHIF's own reader: where it lays voxels, what it refuses, and what is said when it is not there."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from data_contracts import DataError, MissingDependencyError
from medkd.dicom.write_seg import source_images
from medkd.explanation.artefact import read_explanation
from medkd.results import parametric_map
from medkd.results.certify import certify_map
from medkd.results.ohif import reader
from medkd.results.ohif.reader import OhifReader, install, packages_folder, version
from medkd.results.write_results import write_results


@pytest.fixture
def viewed(study, ohif, tmp_path):
    if not ohif:
        pytest.skip("OHIF's reader is not installed: python -m medkd.results.ohif")
    folder, values, files = study()
    record, arrays = read_explanation(folder)
    images = source_images(files, values, record.volume.geometry)
    with OhifReader(record.volume.geometry, images) as viewer:
        yield viewer, arrays, lambda: write_results(folder, values, files, tmp_path / "out")[1]


@pytest.mark.extended
def test_segments_lie_where_the_model_marked_them_and_what_is_no_object_is_refused(viewed, tmp_path):
    viewer, arrays, write = viewed
    place = write()
    marked = arrays["segmentation/student"].numpy() > 0
    for name in ("segmentation.dcm", "labelmap.dcm"):
        read = viewer.read_segments(place / name)
        assert ((read > 0) == marked).all()
        assert set(np.unique(read)) == {0, 1, 2}
    (tmp_path / "x.dcm").write_bytes(b"nothing" * 100)
    with pytest.raises(DataError, match=r"x\.dcm is none: Error") as caught:
        viewer.read_segments(tmp_path / "x.dcm")
    assert caught.value.code == "RESULT_UNREADABLE"
    assert ((viewer.read_segments(place / "labelmap.dcm") > 0) == marked).all()  # and it goes on


@pytest.mark.extended
def test_it_lays_the_frames_of_a_map_in_the_order_of_the_file(viewed, monkeypatch, tmp_path):
    """As highdicom writes it, a map is right by the standard and mirrored in the viewer."""
    viewer, _, write = viewed
    place = write()
    right = viewer.read_map(place / "map-1-model.dcm")
    monkeypatch.setattr(parametric_map, "_ascend", lambda _: None)
    monkeypatch.setattr("medkd.results.certify.certify_map", lambda *_: ())
    shutil.rmtree(place)
    mirrored = viewer.read_map(write() / "map-1-model.dcm")
    assert (mirrored == right[::-1]).all()
    assert not (mirrored == right).all()
    monkeypatch.setattr("medkd.results.readers.read_map_dcmqi", lambda *_: right)
    with pytest.raises(DataError, match=r"from @cornerstonejs/adapters") as caught:
        certify_map(place / "map-1-model.dcm", right, viewer.geometry, viewer)
    assert caught.value.code == "RESULT_DIFFERS"


def test_a_process_that_ended_says_so(viewed, tmp_path):
    viewer, _, _ = viewed
    viewer._process.kill()
    viewer._process.wait()
    with pytest.raises(DataError, match="it ended: without a word"):
        viewer.read_map(tmp_path / "x.dcm")


def test_without_npm_or_node_it_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv(reader.SETTING, str(tmp_path))
    assert packages_folder() == tmp_path
    assert version() is None
    package = tmp_path / "node_modules/@cornerstonejs/adapters/package.json"
    package.parent.mkdir(parents=True)
    package.write_text(json.dumps({"version": "1.2.3"}))
    monkeypatch.setattr(shutil, "which", lambda name: name)
    assert version() == "1.2.3"
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert version() is None
    with pytest.raises(MissingDependencyError, match="expected npm") as caught:
        install()
    assert caught.value.code == "OHIF_INSTALL"


def test_an_npm_that_fails_is_quoted(monkeypatch, tmp_path):
    (tmp_path / "npm").write_text("#!/bin/sh\necho no network >&2; exit 7\n")
    (tmp_path / "npm").chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(MissingDependencyError, match="it ended with 7: no network"):
        install(tmp_path / "there")
