"""What `medkd ingest` says to a person: every series with its key, in lines that fit."""

from __future__ import annotations

import json

import nibabel
import numpy as np

from medkd.phantom.dicom_faults import CASES, write_case


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
