"""De-identified folders: what is handed on, what stays, and that one leak condemns a study."""

from __future__ import annotations

import json
import shutil

import pydicom
import pytest

from data_contracts import Action, IngestCode, IngestPolicy, Outcome
from medkd.dicom.confidentiality import publish
from medkd.dicom.confidentiality.burned_in import find_text
from medkd.dicom.confidentiality.publish import DeidentifyRequest, deidentify_folder
from medkd.phantom.dicom_faults import write_case
from medkd.phantom.faulty_scan import VARIANTS
from tests.benchmarks.marked_dicom import left, write_marked, write_named
from tests.dicom.ingesting import ingest_folder
from tests.dicom.published import picture

SECRET = b"k"


BY_NAME = {variant.name: variant for variant in VARIANTS}


def published(folder, out, **policy):
    report = deidentify_folder(DeidentifyRequest(folder, out, policy=IngestPolicy(**policy)), secret=SECRET)
    return report, sorted(out.rglob("*.dcm")) if out.exists() else []


def test_of_markers_in_every_attribute_of_the_table_none_is_left(tmp_path):
    markers = write_marked(tmp_path / "in.dcm")
    _, (path,) = published(tmp_path / "in.dcm", tmp_path / "out")
    assert len(markers) > 1600
    assert left(path, markers) == []
    # The markers can be found: nearly all of them are in the original.
    assert len(left(tmp_path / "in.dcm", markers)) > 0.99 * len(markers)


@pytest.mark.parametrize("name", ["latin", "japanese", "korean", "greek", "arabic", "unicode"])
def test_names_in_any_character_set_are_gone(tmp_path, name):
    written = {path.stem: (path, markers) for path, markers in write_named(tmp_path).items()}
    source, markers = written[name]
    assert left(source, markers) == markers
    _, (path,) = published(source, tmp_path / "out")
    assert left(path, markers) == []


@pytest.mark.parametrize("variant", sorted(BY_NAME))
def test_published_series_give_the_same_volume(tmp_path, variant):
    write_case(tmp_path / "in", "regular", BY_NAME[variant])
    report, paths = published(tmp_path / "in", tmp_path / "out")
    assert report.count(Outcome.ACCEPTED) == len(paths) == BY_NAME[variant].slices
    before = ingest_folder(tmp_path / "in", tmp_path / "a", secret=SECRET)
    after = ingest_folder(tmp_path / "out", tmp_path / "b", secret=SECRET)
    voxels = [next((tmp_path / name / "volumes").iterdir()).read_bytes() for name in "ab"]
    assert voxels[0] == voxels[1]
    assert before.series[0].shape == after.series[0].shape


def test_labels_still_find_their_images(phantom, tmp_path):
    study = phantom[2][0].folder
    published(study, tmp_path / "out")
    report = ingest_folder(tmp_path / "out", tmp_path / "store", secret=SECRET)
    assert report.codes() == {"LOCALIZER": 1}
    assert (tmp_path / "store" / "labels").is_dir()
    manifest = json.loads((tmp_path / "store" / "manifest.json").read_text())
    assert manifest["volumes"][0]["class_label"] in ("benign", "malignant")


def test_what_is_handed_on_holds_nothing_else_and_what_stays_lies_beside_it(tmp_path):
    write_case(tmp_path / "in", "regular")
    (tmp_path / "in" / "rubbish.dcm").write_bytes(b"rubbish")
    published(tmp_path / "in", tmp_path / "out")
    assert {path.suffix for path in (tmp_path / "out").rglob("*") if path.is_file()} == {".dcm"}
    local_folder = tmp_path / "out.quarantine"
    assert (local_folder / "quarantine" / "report.html").is_file()
    assert (local_folder / "deidentification.json").is_file()
    text = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*.dcm"))
    assert b"CASE-0" not in text
    assert b"Faulty" not in text


def test_one_leak_condemns_the_whole_study_and_no_other(tmp_path, monkeypatch):
    first = write_case(tmp_path / "in" / "a", "regular")
    write_case(tmp_path / "in" / "b", "reversed")
    leaky = pydicom.dcmread(first[3])
    leaky.PatientID = "UNIQUE-4711"
    leaky.SliceLocation = 1
    leaky.save_as(first[3])
    real = publish.deidentify

    def forgetful(dataset, secret):
        result = real(dataset, secret)
        if dataset.PatientID == "UNIQUE-4711":
            result.dataset.PatientID = "UNIQUE-4711"
        return result

    monkeypatch.setattr(publish, "deidentify", forgetful)
    # One series under two patients would be refused before: give the leaky file a series of its own.
    leaky.SeriesInstanceUID = "1.2.3.77"
    leaky.save_as(first[3])
    report, paths = published(tmp_path / "in", tmp_path / "out")
    codes = {file.path.split("/")[0]: file.code for file in report.files}
    assert codes == {"a": IngestCode.DEID_RESIDUAL, "b": None}
    assert len(paths) == 14
    reason = json.loads(next((tmp_path / "out.quarantine" / "quarantine").glob("*/reason.json")).read_text())
    assert reason["evidence"]["attributes"] == {"PatientID": "in the header"}
    assert "UNIQUE" not in json.dumps(reason["evidence"])


def test_a_second_run_writes_the_same_bytes_and_keeps_what_was_published_before(tmp_path):
    paths = write_case(tmp_path / "in", "regular")
    published(tmp_path / "in", tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.dcm")}
    paths[0].unlink()
    published(tmp_path / "in", tmp_path / "out")
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.dcm")} == before


def test_a_study_whose_move_was_cut_short_is_whole_after_the_next_run(tmp_path):
    write_case(tmp_path / "in", "regular")
    published(tmp_path / "in", tmp_path / "out")
    whole = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.dcm")}
    study = next((tmp_path / "out").glob("*/*"))
    study.rename(study.with_name(f".{study.name}.retired"))
    (tmp_path / "out" / ".medkd-staging").mkdir()
    published(tmp_path / "in", tmp_path / "out")
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.dcm")} == whole


def test_two_contents_under_one_uid_are_not_published_over_each_other(tmp_path):
    paths = write_case(tmp_path / "in", "regular")
    other = pydicom.dcmread(paths[0])
    other.RescaleIntercept = -1000
    other.save_as(tmp_path / "in" / "other.dcm")
    shutil.copy(paths[1], tmp_path / "in" / "copy.dcm")
    report, written = published(tmp_path / "in", tmp_path / "out")
    assert report.codes() == {"DUPLICATE_UID_CONFLICT": 2, "DUPLICATE_FILE": 1}
    assert len(written) == 13


@pytest.fixture
def screen(tmp_path):
    """Return a maker of an ultrasound picture with or without text, and with what its header says of it."""

    def make(text="DOE JANE 19500515", stated=None, modality="US"):
        dataset = pydicom.dcmread(write_case(tmp_path / "in", "regular")[0])
        for path in (tmp_path / "in").iterdir():
            path.unlink()
        pixels = picture(text)
        dataset.Modality, dataset.Rows, dataset.Columns = modality, *pixels.shape
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit = 7
        dataset.PixelData = pixels.tobytes()
        dataset["PixelData"].VR = "OB"
        if stated:
            dataset.BurnedInAnnotation = stated
        dataset.save_as(tmp_path / "in" / "us.dcm")
        return tmp_path / "in"

    return make


@pytest.mark.parametrize(
    ("text", "stated", "modality", "refused"),
    [
        ("DOE JANE 19500515", None, "US", True),
        ("", None, "US", True),
        ("", "NO", "US", False),
        ("DOE JANE 19500515", "NO", "US", True),
        ("", "YES", "CT", True),
        ("", None, "CT", False),
        ("DOE JANE 19500515", None, "CT", True),
    ],
)
def test_stated_likely_and_detected_text_is_not_published(screen, tmp_path, text, stated, modality, refused):
    report, paths = published(screen(text, stated, modality), tmp_path / "out")
    assert report.codes() == ({"BURNED_IN_TEXT": 1} if refused else {})
    assert len(paths) == int(not refused)


def test_detected_text_is_blanked_where_the_policy_says_so_and_that_is_written_down(screen, tmp_path):
    report, (path,) = published(screen(), tmp_path / "out", every=Action.REPAIR)
    assert report.files[0].findings == (IngestCode.BURNED_IN_TEXT,)
    dataset = pydicom.dcmread(path)
    assert find_text(dataset.pixel_array) == ()
    assert (dataset.pixel_array == 255).sum() < 20
    assert dataset.BurnedInAnnotation == "NO"
    assert "113101" in [item.CodeValue for item in dataset.DeidentificationMethodCodeSequence]


def test_text_that_is_stated_but_not_found_cannot_be_blanked(screen, tmp_path):
    report, paths = published(screen("", "YES"), tmp_path / "out", every=Action.REPAIR)
    assert report.codes() == {"BURNED_IN_TEXT": 1}
    assert paths == []
