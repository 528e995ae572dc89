"""Real, messy scanner files: everything is accounted for, nothing crashes, nothing is guessed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.pixels import apply_modality_lut, apply_voi

from data_contracts import IngestCode, Outcome, StoreManifest, load_record
from medkd.dicom.confidentiality.publish import DeidentifyRequest, deidentify_folder
from medkd.dicom.ingest import IngestRequest, ingest
from medkd.storage.store import Store
from tests.benchmarks.real_files import ADMITTING, POLICIES, real_files, tried
from tests.dicom.ingesting import ingest_folder

SECRET = b"tests"


@pytest.fixture(scope="module")
def folder(real_data):
    found = real_data / "dicom_real"
    if not found.is_dir():
        pytest.skip("dicom_real absent from the real data")
    return found


@pytest.fixture(scope="module")
def real(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("store")
    return ingest_folder(folder, out, secret=SECRET), out


def test_every_file_of_the_folder_is_accounted_for(folder, real):
    report, _ = real
    found = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert sorted(file.path for file in report.files) == found
    counts = report.summary()["ingest"]
    assert counts["found"] == counts["accepted"] + counts["quarantined"] + counts["ignored"] == len(found)


@pytest.mark.parametrize(
    ("part", "code"),
    [
        ("bad/cxr_wrong_tags_duplicate_uid/test4.dcm", "DUPLICATE_UID_CONFLICT"),
        ("bad/cxr_wrong_tags_duplicate_uid/test5.dcm", "DUPLICATE_UID_CONFLICT"),
        ("bad/cxr_wrong_tags_duplicate_uid/test6.dcm", "DUPLICATE_UID_CONFLICT"),
        ("bad/encoding/ExplVR_LitEndNoMeta.dcm", "MISSING_META"),
        ("bad/encoding/JLSL_RGB_ILV0.dcm", "MISSING_META"),
        ("bad/encoding/JLSN_RGB_ILV0.dcm", "MISSING_META"),
        ("bad/encoding/MR-SIEMENS-DICOM-WithOverlays.dcm", "DERIVED_MPR"),
        ("bad/encoding/MR_truncated.dcm", "TRUNCATED_PIXELS"),
        # An ultrasound that does not say that nothing is written on it; its colours alone are no reason any more.
        ("bad/encoding/US1_UNCI.dcm", "BURNED_IN_TEXT"),
        ("bad/encoding/bad_sequence.dcm", "BAD_VR"),
        ("bad/encoding/emri_small_jpeg_2k_lossless_too_short.dcm", "TRUNCATED_PIXELS"),
        ("bad/encoding/explicit_VR-UN.dcm", "BAD_VR"),
        # Its look-up table can be applied: what refuses it is that it is a secondary capture.
        ("bad/encoding/mlut_18.dcm", "SECONDARY_CAPTURE"),
        ("bad/encoding/vlut_04.dcm", "SECONDARY_CAPTURE"),
        ("bad/geometry/gantrytilting/", "GANTRY_TILT"),
        ("bad/geometry/notavolume/", "TEMPORAL_STACK"),
        ("bad/geometry/slicecount/", "TOO_FEW_SLICES"),
        ("bad/geometry/sliceincrement_001/", "MISSING_SLICES"),
        ("bad/not_dicom/README.md", "NOT_DICOM"),
        ("bad/rt_phantom/ct_", "TOO_FEW_SLICES"),
        ("bad/rt_phantom/rt.dcm", "LABEL_REFERENCES_MISSING"),
        ("bad/rt_phantom/empty/", "DUPLICATE_UID_CONFLICT"),
        ("bad/rt_phantom/non_existent", "DUPLICATE_UID_CONFLICT"),
    ],
)
def test_every_known_fault_is_named_by_its_own_code(real, part, code):
    files = [file for file in real[0].files if file.path.startswith(part)]
    assert files
    assert all(code in {found.value for found in file.findings} for file in files)
    assert all(file.outcome is not Outcome.ACCEPTED for file in files)


@pytest.mark.parametrize(
    ("series", "shape"),
    [
        ("good/mr_brain_PGBM-003/11-T1post", (22, 320, 280)),
        ("good/mr_brain_PGBM-003/36468-FLAIRreg", (22, 320, 280)),
        ("good/mr_brain_PGBM-003/11_HCropVolume", (40, 50, 34)),
        ("good/mr_vendors/ge_anatomical", (4, 256, 256)),
        ("good/mr_vendors/siemens_anatomical", (4, 256, 256)),
        ("good/mr_vendors/generic_compressed_jpegls", (4, 256, 256)),
        ("good/ct_liver_seg_dcmqi/ct-3slice", (3, 512, 512)),
        ("good/ct_liver_seg_dcmqi/23x38x3/image", (3, 38, 23)),
        ("good/ct_liver_seg_dcmqi/23x38x3/multiframe", (3, 38, 23)),
        ("good/ct_liver_seg_dcmqi/24x38x3/image", (3, 38, 24)),
        ("good/ct_liver_seg_dcmqi/24x38x3/multiframe", (3, 38, 24)),
    ],
)
def test_good_series_are_accepted_with_their_geometry_proved(real, series, shape):
    (line,) = [line for line in real[0].series if line.first_file.startswith(series)]
    assert line.shape == shape
    assert line.residual_mm < 0.01


def test_what_is_refused_under_good_is_no_volume_or_contradicts_another_file(real):
    refused = {
        (file.path, file.code.value) for file in real[0].files if file.path.startswith("good/") and file.outcome is Outcome.QUARANTINED
    }
    assert refused == {
        ("good/cxr_dx_nih/test1.dcm", "DUPLICATE_UID_CONFLICT"),
        # Modality DX, but written as secondary captures, which a policy may admit (below).
        ("good/cxr_dx_nih/test2.dcm", "SECONDARY_CAPTURE"),
        ("good/cxr_dx_nih/test3.dcm", "SECONDARY_CAPTURE"),
        ("good/ct_liver_seg_dcmqi/sparse-labelmap-noppv.dcm", "DUPLICATE_UID_CONFLICT"),
        ("good/ct_liver_seg_dcmqi/sparse-labelmap-ppv5.dcm", "DUPLICATE_UID_CONFLICT"),
    }


@pytest.fixture(scope="module")
def admitted(folder, tmp_path_factory):
    """Return the report and the volumes of each picture that is ingested by itself under a policy that admits pictures."""
    found = {}
    for part in ("good/cxr_dx_nih/test1", "good/cxr_dx_nih/test2", "good/cxr_dx_nih/test3", "bad/encoding/mlut_18", "bad/encoding/vlut_04"):
        out = tmp_path_factory.mktemp("picture")
        report = ingest(IngestRequest(folder / f"{part}.dcm", out, ADMITTING), secret=SECRET)
        found[Path(part).name] = report, load_record(out / "manifest.json", StoreManifest).volumes, Store(out)
    return found


@pytest.mark.parametrize(
    ("name", "words"), [("test1", "DX PA, 1024 x 1024"), ("test2", "DX AP, 1024 x 1024"), ("test3", "DX AP, 1024 x 1024")]
)
def test_the_radiographs_are_pictures_where_secondary_captures_are_admitted(folder, admitted, name, words):
    report, (volume,), store = admitted[name]
    assert report.series[0].words.startswith(words)
    assert IngestCode.SECONDARY_CAPTURE in volume.flags
    pixels = pydicom.dcmread(folder / f"good/cxr_dx_nih/{name}.dcm").pixel_array
    arrays = store.read_tensors(volume.array)
    assert np.array_equal(arrays["volume"][0], pixels)
    assert np.array_equal(arrays["picture"][0], pixels)  # 8 bits, MONOCHROME2, no values of interest


def test_a_real_modality_table_is_applied_as_another_library_does(folder, admitted):
    _, (volume,), store = admitted["mlut_18"]
    dataset = pydicom.dcmread(folder / "bad/encoding/mlut_18.dcm")
    assert volume.picture.display.modality_table
    assert np.array_equal(store.read_tensors(volume.array)["volume"][0], apply_modality_lut(dataset.pixel_array, dataset))


def test_a_real_table_of_values_of_interest_is_applied_as_another_library_does(folder, admitted):
    _, (volume,), store = admitted["vlut_04"]
    dataset = pydicom.dcmread(folder / "bad/encoding/vlut_04.dcm")
    assert volume.picture.display.values_of_interest == "table"
    bits = dataset.VOILUTSequence[0].LUTDescriptor[2]
    wanted = apply_voi(apply_modality_lut(dataset.pixel_array, dataset), dataset) * (255 / (2**bits - 1))
    wanted = 255 - wanted if volume.picture.display.inverted else wanted
    np.testing.assert_allclose(store.read_tensors(volume.array)["picture"][0], wanted, atol=1e-3)


@pytest.mark.extended
def test_no_file_that_there_is_ends_an_ingestion():
    """The files that pydicom ships for its own tests, each by itself, by policy and with pictures admitted."""
    files = [path for path in real_files() if "dicom_real" not in path.parts]
    for policy in POLICIES.values():
        figures, _, unforeseen = tried(files, policy)
        assert figures["files"] == figures["accepted"] + figures["refused"] + figures["ignored"]
        assert not figures["crashes"]
        assert not unforeseen


def test_the_series_in_two_encodings_is_one(real):
    codes = {file.path: file.code for file in real[0].files if "generic_compressed" in file.path}
    assert sorted({code.value for code in codes.values() if code}) == ["DUPLICATE_FILE"]
    assert sum(code is None for code in codes.values()) == 4


def read_nrrd(path):
    """Read a raw or gzipped NRRD label map as [slice, row, column]."""
    import gzip

    payload = path.read_bytes()
    head, _, data = payload.partition(b"\n\n")
    fields = dict(line.split(b": ", 1) for line in head.splitlines() if b": " in line)
    sizes = [int(v) for v in fields[b"sizes"].split()]
    raw = gzip.decompress(data) if b"gz" in fields[b"encoding"] else data
    kinds = {b"unsigned char": "u1", b"short": "<i2", b"unsigned short": "<u2", b"uint8": "u1", b"int16": "<i2", b"signed short": "<i2"}
    return np.frombuffer(raw, kinds[fields[b"type"]]).reshape(sizes[::-1])


def labels_of(real, name):
    report, out = real
    manifest = load_record(out / "manifest.json", StoreManifest)
    (line,) = [line for line in report.series if line.first_file.startswith(name)]
    (volume,) = [volume for volume in manifest.volumes if volume.array.key == line.volume]
    return [Store(out).read_tensors(label.array)["label"].numpy() for label in (volume.label, *volume.further_labels)]


def test_the_liver_of_the_segmentation_is_the_liver_of_the_other_file_format(folder, real):
    """The same label was published as DICOM SEG and as NRRD; slices may run either way in the latter."""
    wanted = read_nrrd(folder / "good/ct_liver_seg_dcmqi/liver_seg.nrrd") > 0
    found = labels_of(real, "good/ct_liver_seg_dcmqi/ct-3slice")
    matches = [np.array_equal(label > 0, turned) for label in found for turned in (wanted, wanted[::-1])]
    assert any(matches)


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_lossless_jpeg_is_decoded_like_the_original(folder, tmp_path):
    """One real slice, laid three times in a row: its values come back as another path of the decoder gives them."""

    source = pydicom.dcmread(folder / "bad/encoding/bad_sequence.dcm")
    (tmp_path / "in").mkdir()
    for place in range(3):
        source.SOPInstanceUID = source.file_meta.MediaStorageSOPInstanceUID = f"1.2.{place + 1}"
        x, y, z = source.ImagePositionPatient
        source.ImagePositionPatient = [x, y, z + 1]
        source.save_as(tmp_path / "in" / f"{place}.dcm")
    report = ingest_folder(tmp_path / "in", tmp_path / "store", secret=SECRET)
    (volume,) = load_record(tmp_path / "store" / "manifest.json", StoreManifest).volumes
    values = Store(tmp_path / "store").read_tensors(volume.array)["volume"].numpy()
    assert report.count(Outcome.ACCEPTED) == 3
    assert (values == source.pixel_array.astype(int) - 1024).all()


def test_the_summary_has_no_original_identifier(real):
    text = json.dumps(real[0].summary())
    assert "1.2.840" not in text
    assert "1.3.6.1" not in text


def test_what_is_published_of_the_folder_gives_the_same_volumes(folder, real, tmp_path):
    report = deidentify_folder(DeidentifyRequest(folder, tmp_path / "out"), secret=SECRET)
    assert "DEID_RESIDUAL" not in report.codes()
    again = ingest_folder(tmp_path / "out", tmp_path / "store", secret=SECRET)

    def voxels(out):
        return sorted(volume.array.sha256 for volume in load_record(out / "manifest.json", StoreManifest).volumes)

    assert voxels(tmp_path / "store") == voxels(real[1])
    assert again.count(Outcome.ACCEPTED) == real[0].count(Outcome.ACCEPTED)
