"""A source that is ingested in shards, however small, gives the store that it gives as a whole."""

from __future__ import annotations

import shutil
from pathlib import Path

import pydicom
import pytest

from data_contracts import IngestCode, IngestPolicy
from medkd.dicom import ingest as module
from medkd.dicom.decoders import Decoders
from medkd.dicom.ingest import IngestRequest, ingest, open_ingestion
from medkd.dicom.ingest_cache import IngestCache
from medkd.dicom.ingest_series import SeriesIngestion
from medkd.dicom.ingest_shard import ingest_shard
from medkd.dicom.ledger import Ledger
from medkd.dicom.merge_shards import refuse_shared_pixels
from medkd.dicom.slices import slices_of
from medkd.phantom.dicom_faults import write_case
from medkd.storage.store import Store
from tests.dicom.invented import SECRET, found, group_of, header

CASES = ("regular", "missing_slice", "two_time_points", "localizer_inside", "enhanced")


def contents(out):
    """Return all bytes of a store but what is a lock, or remembered: shards that were ingested twice remember more than is asked for again."""
    files = (path for path in out.rglob("*") if path.is_file() and path.name not in (".lock", "memory.json"))
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def ingest_in_shards(request, size):
    """Ingest in shards of so many files, each by a fresh cache as in a process of its own; return the report and the rounds."""
    with open_ingestion(request) as ingestion:
        results, rounds = [], []
        shards = ingestion.shards(most_files=size)
        while shards:
            rounds.append(len(shards))
            for one in reversed(shards):  # the order in which they end is chance
                cache = IngestCache(ingestion.target.out, ingestion.target.policy)
                results.append(ingest_shard(ingestion.target, one, b"k", Decoders(1), cache))
            shards = ingestion.further_shards(results)
        return ingestion.finish(results, b"k"), rounds


@pytest.fixture(scope="module")
def source(tmp_path_factory, phantom):
    """Return a folder with everything that binds files of several folders to one another."""
    root = tmp_path_factory.mktemp("source")
    for case in CASES:
        write_case(root / case, case)
    write_case(root / "renamed from", "reversed", seed=7)
    shutil.copytree(root / "regular", root / "again")  # the same bytes twice
    apart = sorted((root / "two_time_points").iterdir())
    (root / "other half").mkdir()
    for path in apart[::2]:  # a series in two folders
        path.rename(root / "other half" / path.name)
    conflict = pydicom.dcmread(next((root / "localizer_inside").iterdir()))
    conflict.PatientID = "somebody else"  # one series under two patients
    conflict.save_as(root / "conflict.dcm")
    for path in (root / "renamed from").iterdir():  # the same voxels under another name
        dataset = pydicom.dcmread(path)
        dataset.PixelData = dataset.PixelData[::-1]  # all cases hold the same voxels
        dataset.save_as(path)
        dataset.PatientID, dataset.SOPInstanceUID = "a third", f"{dataset.SOPInstanceUID}.1"
        dataset.SeriesInstanceUID, dataset.StudyInstanceUID = f"{dataset.SeriesInstanceUID}.1", f"{dataset.StudyInstanceUID}.1"
        (root / "renamed").mkdir(exist_ok=True)
        dataset.save_as(root / "renamed" / path.name)
    (root / "text.txt").write_text("no image")
    shutil.copytree(phantom[0], root / "studies")  # studies with their segmentations
    return root


@pytest.fixture(scope="module")
def whole(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    report = ingest(IngestRequest(source, out, nifti=True), secret=b"k")
    firsts = {Path(line.first_file).parts[0] for line in report.series}
    why = {(Path(one.path).parts[0], str(one.code)) for one in report.files}
    assert {"again", "enhanced", "other half", "studies"} <= firsts, why
    return report, contents(out)


@pytest.mark.parametrize("size", [1, 5, 40])
def test_shards_of_any_size_give_the_same_store(source, whole, tmp_path, size):
    report, rounds = ingest_in_shards(IngestRequest(source, tmp_path / "store", nifti=True), size)
    assert contents(tmp_path / "store") == whole[1]
    assert not (tmp_path / "store" / "quarantine" / "unlisted").exists()
    assert report.model_copy(update={"decoded_files": whole[0].decoded_files}) == whole[0]
    assert len(rounds) == 2  # what was spread was ingested again, once
    assert {IngestCode.DUPLICATE_FILE, IngestCode.PATIENT_ID_COLLISION, IngestCode.PIXEL_IDENTICAL_ACROSS_PATIENTS} <= {
        one.code for one in report.files
    }


def test_shards_here_give_it_too(source, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FILES_HERE", 7)
    report = ingest(IngestRequest(source, tmp_path / "store", nifti=True), secret=b"k")
    assert contents(tmp_path / "store") == whole[1]
    assert report.files == whole[0].files


@pytest.mark.extended
def test_a_second_ingestion_in_shards_judges_again_what_one_as_a_whole_does(source, whole, tmp_path):
    request = IngestRequest(source, tmp_path / "store", nifti=True)
    ingest(request, secret=b"k")
    again = ingest(request, secret=b"k")
    report, _ = ingest_in_shards(request, 5)
    assert report == again
    assert report.decoded_files < whole[0].decoded_files
    assert contents(tmp_path / "store") == whole[1]


def test_the_same_voxels_of_two_patients_are_refused_in_both(tmp_path):
    policy, ledger = IngestPolicy(), Ledger()
    cache = IngestCache(tmp_path / "store", policy)
    series = SeriesIngestion(SECRET, Store(tmp_path / "store"), policy, cache, ledger, Decoders(1))
    for patient in ("P1", "P2"):
        slices = []
        for z in (0, 2, 4, 6):
            path = tmp_path / f"{patient}-{z}"
            path.write_bytes(bytes(range(z, z + 48)))
            slices += slices_of(found(str(path), header(z, PatientID=patient, SeriesInstanceUID=f"1.3.{patient[1]}")))
        series.ingest_series(group_of(slices), {})
    assert len(series.volumes) == 2
    shared = refuse_shared_pixels(series.volumes, series.refused_keys, cache, ledger, policy)
    assert not series.volumes
    assert set(shared) == set(series.refused_keys)
    assert {outcome.code for outcome in ledger.outcomes.values()} == {IngestCode.PIXEL_IDENTICAL_ACROSS_PATIENTS}
