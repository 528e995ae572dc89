from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import nibabel
import pydicom
import pytest
import torch

from data_contracts import IngestCode, Outcome, SourceError, StoreManifest, load_record
from medkd.phantom.dicom_faults import write_case
from medkd.phantom.faulty_scan import VARIANTS
from medkd.phantom.render import render_volume
from medkd.storage.store import Store
from tests.dicom.ingesting import ingest_folder

SECRET = b"tests"
IDENTIFIERS = (b"Hartwell", b"Okafor", b"Lindqvist", b"Testcase", b"HOSP-", b"ACC88", b"Saint Example", b"Referrer", b"1.2.826.0.1.3680043")


def manifest_of(out) -> StoreManifest:
    return load_record(out / "manifest.json", StoreManifest)


def test_every_file_has_one_outcome(phantom, ingested):
    report, _ = ingested
    found = sorted(p.relative_to(phantom[0]).as_posix() for p in phantom[0].rglob("*") if p.is_file())
    assert sorted(file.path for file in report.files) == found
    assert (report.count(Outcome.ACCEPTED), report.count(Outcome.QUARANTINED), report.count(Outcome.IGNORED)) == (8 * 13, 11, 2)
    assert report.codes() == {"MISSING_SLICES": 11, "LOCALIZER": 1, "NOT_DICOM": 1}


def test_a_study_and_its_direct_twin_give_the_same_voxels(phantom, ingested):
    """The two outlets of the phantom are one function: what comes back from DICOM is what was rendered."""
    _, cases, studies = phantom
    report, out = ingested
    store, volumes = Store(out), {volume.array.key: volume for volume in manifest_of(out).volumes}
    by_folder = {Path(series.first_file).parts[0]: volumes[series.volume] for series in report.series}
    assert len(by_folder) == 8
    for study in studies:
        volume = by_folder[study.folder.name]
        hu, mask = render_volume(cases, study.case)
        assert torch.equal(store.read_tensors(volume.array)["volume"], hu)
        assert torch.equal(store.read_tensors(volume.label.array)["label"], mask)
        assert volume.class_label == ("benign", "malignant")[int(cases.label[study.case])]
        assert volume.unit == "HU"
        assert volume.geometry.spacing_mm == pytest.approx((4.0, 3.0, 3.0))


def test_studies_of_one_patient_stay_together(phantom, ingested):
    _, _, studies = phantom
    keys = {volume.patient_key for volume in manifest_of(ingested[1]).volumes}
    assert len(keys) == len({study.patient for study in studies}) < len(studies)


def test_no_identifier_is_left_in_the_store_or_in_the_report(ingested):
    report, out = ingested
    texts = [report.canonical_json(), json.dumps(report.summary()).encode()]
    texts += [path.read_bytes() for path in out.rglob("*") if path.is_file() and "quarantine" not in path.parts]
    assert len(texts) > 20
    for text in texts:
        for identifier in IDENTIFIERS:
            assert identifier not in text


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
def test_names_of_files_and_odd_values_stay_out_of_the_store(tmp_path):
    """Folders are named after people, and so are values that should be codes."""
    for path in write_case(tmp_path / "in" / "Doe_Jane", "truncated_slice", VARIANTS[0]):
        change(path, Modality="Doe Jane", BurnedInAnnotation="Doe Jane", ImageType=["DERIVED", "MPR Doe Jane"])
    for folder in ("Doe_Jane", "Doe_Jane_sound"):
        if folder.endswith("sound"):
            for path in write_case(tmp_path / "in" / folder, "regular", VARIANTS[0], seed=4):
                change(path, Modality="Doe Jane", BurnedInAnnotation="Doe Jane", ImageType=["DERIVED", "MPR Doe Jane"])
    report = ingest_folder(tmp_path / "in", tmp_path / "store", secret=SECRET)
    assert len(report.series) == 1
    kept = [path for path in (tmp_path / "store").rglob("*") if path.is_file() and "quarantine" not in path.parts]
    assert len(kept) >= 3
    assert not [path.name for path in kept if b"doe" in path.read_bytes().lower().replace(b"_", b"")]
    assert not [path for path in kept if "Doe" in path.name]


def test_series_are_described_without_naming_anybody(ingested):
    manifest = manifest_of(ingested[1])
    assert {s.series_key for s in manifest.series} == {v.series_key for v in manifest.volumes}
    assert {s.sex for s in manifest.series} == {"F", "M"}
    assert all(30 <= s.age_years <= 90 for s in manifest.series)


def test_pseudonyms_depend_on_the_secret(phantom, tmp_path):
    keys = []
    for secret in (b"one", b"two"):
        ingest_folder(phantom[2][0].folder, tmp_path / secret.decode(), secret=secret)
        keys.append(manifest_of(tmp_path / secret.decode()).volumes[0].patient_key)
    assert keys[0] != keys[1]


def test_a_second_run_decodes_nothing_and_changes_nothing(phantom, ingested):
    report, out = ingested
    before = (out / "manifest.json").read_bytes()
    again = ingest_folder(phantom[0], out, secret=SECRET, nifti=True)
    assert report.decoded_files > 100
    assert again.decoded_files == 0
    assert again == report.model_copy(update={"decoded_files": 0})
    assert (out / "manifest.json").read_bytes() == before


def test_a_volume_that_was_altered_in_the_store_is_decoded_again(phantom, tmp_path):
    source, out = phantom[2][0].folder, tmp_path / "store"
    ingest_folder(source, out, secret=SECRET)
    path = next((out / "volumes").iterdir())
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    ingest_folder(source, out, secret=SECRET)
    assert path.read_bytes() == good


def test_quarantine_keeps_the_bytes_and_says_how_to_mend(phantom, ingested):
    report, out = ingested
    refused = [file for file in report.files if file.outcome is Outcome.QUARANTINED]
    folders = {
        json.loads((folder / "reason.json").read_text())["source_path"]: folder
        for folder in (out / "quarantine").iterdir()
        if folder.is_dir()
    }
    assert set(folders) == {file.path for file in refused}
    for relative, folder in folders.items():
        original = (phantom[0] / relative).read_bytes()
        assert (folder / "file").read_bytes() == original
        reason = json.loads((folder / "reason.json").read_text())
        assert reason["sha256"] == hashlib.sha256(original).hexdigest()
        assert reason["code"] == "MISSING_SLICES"
        assert reason["how_to_mend"]


def test_nifti_holds_the_same_voxels_and_places(ingested):
    report, out = ingested
    volumes = {volume.series_key: volume for volume in manifest_of(out).volumes}
    files = sorted((out / "nifti").glob("*.nii.gz"))
    assert len(files) == len(report.series)
    image = nibabel.load(files[0])
    volume = volumes[files[0].name.split(".")[0].rpartition("-")[2]]
    values = Store(out).read_tensors(volume.array)["volume"].numpy()
    assert (image.get_fdata().transpose(2, 1, 0) == values).all()
    x, y, z = volume.geometry.position_lps_mm(2, 5, 7)
    assert (image.affine @ [7, 5, 2, 1])[:3] == pytest.approx((-x, -y, z), abs=1e-3)


def test_a_source_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(SourceError) as caught:
        ingest_folder(tmp_path / "nowhere", tmp_path / "store", secret=SECRET)
    assert caught.value.code == "SOURCE_MISSING"


def test_an_empty_folder_is_a_result(tmp_path):
    (tmp_path / "empty").mkdir()
    report = ingest_folder(tmp_path / "empty", tmp_path / "store", secret=SECRET)
    assert report.files == ()
    assert manifest_of(tmp_path / "store").volumes == ()


@pytest.fixture
def study(phantom, tmp_path):
    """Return a private copy of one study."""
    return Path(shutil.copytree(phantom[2][1].folder, tmp_path / "study"))


def change(path: Path, **values) -> None:
    dataset = pydicom.dcmread(path)
    for keyword, value in values.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.save_as(path)


def images(folder: Path) -> list[Path]:
    return sorted(folder.glob("IM*.dcm"))


def codes(folder: Path, tmp_path: Path) -> dict[str, int]:
    return ingest_folder(folder, tmp_path / "store", secret=SECRET).codes()


def test_one_instance_uid_with_two_contents_is_a_conflict_and_neither_is_guessed(study, tmp_path):
    first = images(study)[0]
    shutil.copy(first, study / "copy.dcm")
    change(study / "copy.dcm", RescaleIntercept=-1000)
    found = codes(study, tmp_path)
    assert found["DUPLICATE_UID_CONFLICT"] == 2


def test_the_same_bytes_twice_are_one(study, tmp_path):
    shutil.copy(images(study)[0], study / "copy.dcm")
    assert codes(study, tmp_path) == {"DUPLICATE_FILE": 1}


def test_hounsfield_units_are_not_guessed(study, tmp_path):
    for path in images(study):
        change(path, RescaleSlope=None)
    assert codes(study, tmp_path)["RESCALE_MISSING"] == 12


def test_slices_are_ordered_by_place_and_never_by_number(study, tmp_path):
    ingest_folder(study, tmp_path / "a", secret=SECRET)
    for number, path in enumerate(images(study)):
        change(path, InstanceNumber=number, SliceThickness=1.0)
    ingest_folder(study, tmp_path / "b", secret=SECRET)
    first, second = (Store(tmp_path / n).read_tensors(manifest_of(tmp_path / n).volumes[0].array)["volume"] for n in "ab")
    assert torch.equal(first, second)


def test_each_slice_has_its_own_rescale(study, tmp_path):
    ingest_folder(study, tmp_path / "a", secret=SECRET)
    path = images(study)[4]
    dataset = pydicom.dcmread(path)
    dataset.RescaleIntercept = -24
    dataset.PixelData = (dataset.pixel_array.astype("int32") - 1000).clip(0).astype("uint16").tobytes()
    dataset.save_as(path)
    ingest_folder(study, tmp_path / "b", secret=SECRET)
    first, second = (Store(tmp_path / n).read_tensors(manifest_of(tmp_path / n).volumes[0].array)["volume"] for n in "ab")
    assert torch.equal(first[first >= -24], second[first >= -24])


def test_truncated_pixels_are_found(study, tmp_path):
    path = images(study)[3]
    dataset = pydicom.dcmread(path)
    dataset.PixelData = dataset.PixelData[:-100]
    dataset.save_as(path)
    assert "TRUNCATED_PIXELS" in codes(study, tmp_path)


def test_a_label_without_its_images_is_refused(study, tmp_path):
    for path in images(study):
        path.unlink()
    assert codes(study, tmp_path) == {"LABEL_REFERENCES_MISSING": 1}


def test_a_series_under_two_patients_is_refused(study, tmp_path):
    change(images(study)[0], PatientID="OTHER")
    assert codes(study, tmp_path)["PATIENT_ID_COLLISION"] == 13 or codes(study, tmp_path)["PATIENT_ID_COLLISION"] == 12


@pytest.mark.parametrize("payload", [b"", b"\0" * 200, b"DICM", b"\0" * 128 + b"DICM", b"\0" * 128 + b"DICM" + b"\xff" * 300])
def test_rubbish_never_stops_an_ingestion(study, tmp_path, payload):
    (study / "rubbish.dcm").write_bytes(payload)
    report = ingest_folder(study, tmp_path / "store", secret=SECRET)
    outcome = next(file for file in report.files if file.path == "rubbish.dcm")
    assert outcome.outcome is Outcome.QUARANTINED
    assert len(report.series) == 1


def test_compressed_slices_give_the_same_voxels(study, tmp_path):
    from pydicom.uid import JPEG2000Lossless, RLELossless

    ingest_folder(study, tmp_path / "a", secret=SECRET)
    for path, syntax in zip(images(study)[:2], (RLELossless, JPEG2000Lossless), strict=True):
        dataset = pydicom.dcmread(path)
        if syntax is RLELossless:
            dataset.compress(RLELossless)
            dataset.save_as(path)
    report = ingest_folder(study, tmp_path / "b", secret=SECRET)
    first, second = (Store(tmp_path / n).read_tensors(manifest_of(tmp_path / n).volumes[0].array)["volume"] for n in "ab")
    assert torch.equal(first, second)
    assert report.codes() == {}


def test_codes_are_stable_words():
    assert all(code.value == code.name for code in IngestCode)
