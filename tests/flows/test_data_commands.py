"""What `medkd ingest` says to a person: every series with its key, in lines that fit."""

from __future__ import annotations

import json

import nibabel
import numpy as np

from medkd.dicom.ingest_cache import read_manifest
from medkd.phantom.dicom_faults import CASES, write_case
from medkd.storage.objects import open_objects
from medkd.storage.shared_folder import bring_folder
from medkd.storage.store import Store


def test_every_series_is_said_with_its_key_in_100_columns(here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in CASES:
        write_case(tmp_path / "in" / ("long" * 40) / name, name, seed=len(name))
    status, text, errors = here("ingest", "in", "--policy", "repair")
    assert status == 0, errors
    assert max(map(len, text.splitlines())) <= 100
    summary = json.loads(here("ingest", "in", "--policy", "repair", "--json")[1].splitlines()[-1])
    assert len(summary["series"]) > 3
    said = " ".join(text.split())
    assert all(f"{series['series_key']} {series['words']} residual" in said for series in summary["series"])


def test_a_nifti_volume_becomes_a_series_and_what_is_refused_leaves_nothing(here, tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.arange(60, dtype=np.float32).reshape(5, 4, 3), np.eye(4)), tmp_path / "volume.nii.gz")
    status, _, errors = here("nifti-to-dicom", tmp_path / "volume.nii.gz", "--modality", "PET", "--out", tmp_path / "series")
    assert (status, (tmp_path / "series").exists()) == (2, False)
    assert errors.startswith("MODALITY_UNKNOWN: expected one of ['CT', 'MR']")
    status, text, errors = here("nifti-to-dicom", tmp_path / "volume.nii.gz", "--modality", "MR", "--out", tmp_path / "series", "--json")
    assert (status, json.loads(text)["files"]) == (0, 3), errors
    status, text, _ = here("ingest", tmp_path / "series", "--dry-run")
    assert (status, "MR axial, 3 x 4 x 5" in text) == (0, True)


def test_a_store_by_its_uri_is_extended_by_one_machine_and_then_by_another(here, phantom, tmp_path, monkeypatch):
    (tmp_path / "mount").mkdir()
    uri = f"file://{tmp_path / 'mount' / 'studies'}"
    assert here("ingest", phantom[0], "--out", uri)[2].startswith("STORE_UNREACHABLE: expected to find file://")
    (tmp_path / "mount" / "studies").mkdir()
    found = []
    for machine, source in (("first", phantom[2][0]), ("second", phantom[2][1])):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / machine))
        open_objects.cache_clear()
        status, text, errors = here("ingest", source.folder, "--out", uri, "--json")
        assert status == 0, errors
        found.append({one["series_key"] for one in json.loads(text.splitlines()[-1])["series"]})
    kept = read_manifest(bring_folder(uri))
    assert {one.series_key for one in kept.volumes} >= found[1] > set()
    assert all(Store(bring_folder(uri)).verify(one.array) for one in kept.volumes)
    assert not [path for path in (tmp_path / "mount").rglob("*") if path.is_file() and str(tmp_path).encode() in path.read_bytes()]
    open_objects.cache_clear()


def test_a_source_by_its_uri_is_brought_and_read(here, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_case(tmp_path / "in" / "study", sorted(CASES)[0], seed=1)
    own, by_uri = (json.loads(here("ingest", place, "--dry-run", "--json")[1].splitlines()[-1])["ingest"] for place in (tmp_path / "in", f"file://{tmp_path / 'in'}"))  # fmt: skip
    assert own == by_uri
    assert own["found"] > 0
    assert here("ingest", f"file://{tmp_path / 'none'}", "--dry-run")[2].startswith("STORE_UNREACHABLE")
    assert here("ingest", "s3://user:password@bucket/x", "--dry-run")[2].startswith("STORE_URI")
