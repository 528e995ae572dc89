"""Every file, folder and link of a source has its line in the ledger, whatever it is called and whoever may read it."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pydicom
import pytest

from data_contracts import Action, IngestCode, IngestPolicy, Outcome, StoreManifest, load_record
from medkd.dicom.confidentiality.publish import DeidentifyRequest, deidentify_folder
from medkd.dicom.discover import discover
from medkd.dicom.ingest import IngestRequest, ingest
from medkd.phantom.dicom_faults import write_case


def found(source, tmp_path, **more):
    return {file.relative: file.code for file in discover(source, tmp_path / "scratch", **more)}


def ingested(source, tmp_path, policy=None):
    report = ingest(IngestRequest(source, tmp_path / "store", policy or IngestPolicy()), secret=b"k")
    assert len(report.files) == sum(report.count(outcome) for outcome in Outcome)
    assert len({file.path for file in report.files}) == len(report.files)
    return report


@pytest.fixture
def source(tmp_path):
    write_case(tmp_path / "in" / "ct", "regular")
    return tmp_path / "in"


@pytest.mark.parametrize("name", [b"M\xfcller_%02d.dcm", b"\xff\xfe%02d", "Müller_%02d.dcm".encode(), b"two\nlines %02d"])
def test_names_need_not_be_text(source, tmp_path, name):
    for number, path in enumerate(sorted((source / "ct").iterdir())):
        os.rename(os.fsencode(path), os.path.join(os.fsencode(source / "ct"), name % number))
    with open(os.path.join(os.fsencode(source), b"kaputt_\xe4.dcm"), "wb") as stream:
        stream.write(b"no image" * 9)
    report = ingested(source, tmp_path)
    assert report.count(Outcome.ACCEPTED) == 14
    assert report.count(Outcome.QUARANTINED) == 1
    assert "kaputt_\\xe4.dcm" in {file.path for file in report.files}
    json.dumps(report.summary(), ensure_ascii=False).encode()
    for text in (tmp_path / "store").rglob("*.[jch][sst][ovm]*"):
        text.read_bytes().decode()


def test_names_that_are_no_text_are_de_identified_and_read_back(source, tmp_path):
    for number, path in enumerate(sorted((source / "ct").iterdir())):
        os.rename(os.fsencode(path), os.path.join(os.fsencode(source / "ct"), b"M\xfcller_%02d.dcm" % number))
    report = deidentify_folder(DeidentifyRequest(source, tmp_path / "share"), secret=b"k")
    assert report.count(Outcome.ACCEPTED) == 14
    assert "M\\xfcller_00.dcm" in (tmp_path / "share.quarantine" / "deidentification.json").read_text().replace("\\\\", "\\")


def test_names_that_are_written_alike_keep_a_line_each(tmp_path):
    (tmp_path / "in").mkdir()
    for name in (b"a\xfc.txt", b"a\\xfc.txt"):
        with open(os.path.join(os.fsencode(tmp_path / "in"), name), "wb") as stream:
            stream.write(name)
    assert sorted(found(tmp_path / "in", tmp_path)) == ["a\\xfc.txt", "a\\xfc.txt (2)"]


def test_a_source_whose_own_name_is_no_text_is_ingested(tmp_path):
    write_case(tmp_path / "plain", "regular")
    odd = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), b"Dr_M\xfcller")))
    os.rename(tmp_path / "plain", odd)
    (odd / "broken.dcm").write_bytes(b"no image" * 9)
    assert ingested(odd, tmp_path).count(Outcome.ACCEPTED) == 14
    (reason,) = (tmp_path / "store" / "quarantine").rglob("reason.json")
    assert "Dr_M\\xfcller" in json.loads(reason.read_text())["reproduce"]


_AS_NOBODY = """
import os, sys
sys.path.insert(0, sys.argv[3])
from pathlib import Path
from medkd.dicom.ingest import IngestRequest, ingest
# Once as ourselves: what is imported late may lie where others may not read.
ingest(IngestRequest(Path(sys.argv[4]), Path(sys.argv[5])), secret=b"k")
os.setgroups([])
os.setegid(65534)
os.seteuid(65534)
report = ingest(IngestRequest(Path(sys.argv[1]), Path(sys.argv[2])), secret=b"k")
print(sorted((f.path, f.outcome.value, f.code.value) for f in report.files if f.code))
print(sum(f.outcome.value == "accepted" for f in report.files), len(report.files))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="becomes somebody else")
def test_files_and_folders_that_may_not_be_read_are_listed_and_the_others_ingested():
    # Not below the folder of all tests: others may not enter that one.
    place = Path(tempfile.mkdtemp(prefix="medkd-unread-"))
    try:
        place.chmod(0o755)
        write_case(place / "in" / "ct", "regular")
        write_case(place / "in" / "locked", "regular", seed=3)
        (place / "in" / "secret.dcm").write_bytes(b"x")
        (place / "in" / "label.nii.gz").write_bytes(b"x")
        (place / "in" / "archive.zip").write_bytes(b"PK\3\4")
        for path in ("secret.dcm", "label.nii.gz", "archive.zip", "locked"):
            (place / "in" / path).chmod(0)
        (place / "out").mkdir()
        os.chown(place / "out", 65534, 65534)
        repository = str(Path(__file__).parents[2])
        (place / "first").mkdir()
        (place / "first" / "broken.dcm").write_bytes(b"no image" * 9)
        write_case(place / "first" / "ct", "regular")
        folders = [str(place / "in"), str(place / "out" / "store"), repository, str(place / "first"), str(place / "warm")]
        done = subprocess.run([sys.executable, "-c", _AS_NOBODY, *folders], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        lines = done.stdout.splitlines()
        expected = [(name, "quarantined", "FILE_UNREADABLE") for name in ("archive.zip", "label.nii.gz", "locked/", "secret.dcm")]
        assert lines[-2:] == [str(expected), "14 18"]
        assert len(list((place / "out" / "store" / "quarantine").rglob("reason.json"))) == 4
    finally:
        shutil.rmtree(place)


def test_links_inside_the_source_cost_no_file_and_count_none_twice(source, tmp_path):
    (source / "again").symlink_to(source / "ct")
    (source / "relative").symlink_to("ct")
    first = min((source / "ct").iterdir())
    (source / "one.dcm").symlink_to(first)
    report = ingested(source, tmp_path)
    assert report.codes() == {"LINK_INSIDE": 2, "DUPLICATE_FILE": 1}
    assert report.count(Outcome.ACCEPTED) == 14


def test_links_that_lead_back_are_refused_and_end_nowhere(source, tmp_path):
    (source / "ct" / "up").symlink_to("..")
    (source / "whole").symlink_to(source)
    (source / "above").symlink_to(tmp_path)
    (source / "self").symlink_to("self")
    (source / "ping").symlink_to("pong")
    (source / "pong").symlink_to("ping")
    report = ingested(source, tmp_path)
    assert report.codes() == {"LINK_CYCLE": 6}
    assert report.count(Outcome.ACCEPTED) == 14


@pytest.mark.parametrize("follow", [False, True])
def test_links_out_of_the_source_are_refused_or_followed_as_the_policy_says(tmp_path, follow):
    paths = write_case(tmp_path / "elsewhere", "regular")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "other").mkdir()
    moved = tmp_path / "other" / "IM.dcm"
    paths[0].rename(moved)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "patient").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "one.dcm").symlink_to(moved)
    policy = IngestPolicy(actions={IngestCode.LINK_OUTSIDE: Action.ACCEPT_WITH_FLAG}) if follow else None
    report = ingested(tmp_path / "in", tmp_path, policy)
    if follow:
        assert report.count(Outcome.ACCEPTED) == 14
        assert report.codes() == {"LINK_CYCLE": 1}
    else:
        assert report.codes() == {"LINK_OUTSIDE": 2}
        # What lies outside is not copied into the quarantine either.
        assert not list((tmp_path / "store" / "quarantine").rglob("file"))


def test_a_link_to_a_store_is_never_followed(source, tmp_path):
    ingested(source, tmp_path)
    (source / "results").symlink_to(tmp_path / "store")
    assert found(source, tmp_path, follow=True)["results"] is IngestCode.LINK_OUTSIDE


def packed(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, payload in members.items():
            archive.writestr(name, payload)
    return path


def test_archives_in_archives_are_opened_and_every_member_listed(source, tmp_path):
    files = {f"p/{path.name}": path.read_bytes() for path in (source / "ct").iterdir()}
    inner = packed(tmp_path / "inner.zip", files).read_bytes()
    packed_in = tmp_path / "packed"
    packed_in.mkdir()
    packed(packed_in / "outer.zip", {"patient 1.zip": inner, "readme.txt": b"hello"})
    report = ingested(packed_in, tmp_path)
    assert report.count(Outcome.ACCEPTED) == 14
    assert report.codes() == {"ARCHIVE_OPENED": 2, "NOT_DICOM": 1}
    assert {f"outer.zip/patient 1.zip/{name}" for name in files} <= {file.path for file in report.files}
    assert ingest(IngestRequest(packed_in, tmp_path / "store"), secret=b"k").decoded_files == 0


@pytest.mark.parametrize("levels", [3, 4, 6])
def test_archives_are_opened_to_a_bounded_depth(tmp_path, levels):
    payload = b"x"
    for level in range(levels):
        payload = packed(tmp_path / "level.zip", {"x.txt" if not level else "next.zip": payload}).read_bytes()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "top.zip").write_bytes(payload)
    codes = list(found(tmp_path / "in", tmp_path).values())
    assert codes == [IngestCode.ARCHIVE_OPENED] * 3 + [IngestCode.NOT_DICOM if levels == 3 else IngestCode.ARCHIVE_TOO_DEEP]


@pytest.mark.parametrize("nested", ["zip", "gz"])
def test_a_bomb_that_is_nested_is_counted_with_what_it_lies_in(tmp_path, nested):
    zeros = bytes(80 * 2**20)
    inner = packed(tmp_path / "inner.zip", {"zeros": zeros}).read_bytes() if nested == "zip" else gzip.compress(zeros)
    (tmp_path / "in").mkdir()
    packed(tmp_path / "in" / "outer.zip", {f"inner.{nested}": inner})
    codes = found(tmp_path / "in", tmp_path)
    assert codes == {"outer.zip": IngestCode.ARCHIVE_OPENED, f"outer.zip/inner.{nested}": IngestCode.ZIP_BOMB}
    assert not [path for path in (tmp_path / "scratch").rglob("*") if path.is_file() and path.stat().st_size > 2**20]


def test_files_that_gzip_compressed_are_read(source, tmp_path):
    for path in sorted((source / "ct").iterdir()):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    (source / "broken.dcm.gz").write_bytes(gzip.compress(b"x" * 5000)[:-9])
    report = ingested(source, tmp_path)
    assert report.count(Outcome.ACCEPTED) == 14
    assert report.codes() == {"ARCHIVE_OPENED": 14, "ARCHIVE_UNREADABLE": 1}
    assert "ct/IM0000.dcm.gz/IM0000.dcm" in {file.path for file in report.files}


def test_a_member_that_is_there_twice_has_two_lines(tmp_path):
    (tmp_path / "in").mkdir()
    with zipfile.ZipFile(tmp_path / "in" / "a.zip", "w") as archive:
        archive.writestr("x.txt", b"1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("x.txt", b"2")
    assert sorted(found(tmp_path / "in", tmp_path)) == ["a.zip", "a.zip/x.txt", "a.zip/x.txt (2)"]


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_copy_that_broke_off_does_not_condemn_the_whole_file(source, tmp_path, share):
    whole = sorted((source / "ct").iterdir())[4].read_bytes()
    (source / "a.dcm").write_bytes(whole[: int(len(whole) * share)])
    report = ingested(source, tmp_path)
    assert report.count(Outcome.ACCEPTED) == 14
    assert report.codes() == {"TRUNCATED_PIXELS": 1}


def test_two_files_of_one_instance_that_differ_are_still_a_conflict(source, tmp_path):
    whole = bytearray(sorted((source / "ct").iterdir())[4].read_bytes())
    whole[-100] ^= 1
    (source / "a.dcm").write_bytes(whole[:-50])
    assert ingested(source, tmp_path).codes()["DUPLICATE_UID_CONFLICT"] == 2


def nameless(source, *keywords):
    for path in (source / "ct").iterdir():
        dataset = pydicom.dcmread(path)
        for keyword in keywords:
            setattr(dataset, keyword, "" if keyword == "PatientID" else None)
        dataset.save_as(path)


def test_without_a_patient_id_nothing_goes_on_unless_the_policy_says_so(source, tmp_path):
    nameless(source, "PatientID")
    refused = ingested(source, tmp_path)
    assert refused.codes() == {"PATIENT_ID_MISSING": 14}
    assert "--policy repair" in refused.files[0].evidence
    study = pydicom.dcmread(next((source / "ct").iterdir())).StudyInstanceUID
    report = ingest(
        IngestRequest(source, tmp_path / "b", IngestPolicy(actions={IngestCode.PATIENT_ID_MISSING: Action.REPAIR})), secret=b"k"
    )
    assert report.count(Outcome.ACCEPTED) == 14
    (volume,) = load_record(tmp_path / "b" / "manifest.json", StoreManifest).volumes
    assert volume.flags == (IngestCode.PATIENT_ID_MISSING,)
    assert '"derived_from": ["StudyInstanceUID"]' in volume.evidence[IngestCode.PATIENT_ID_MISSING]
    text = (tmp_path / "b" / "manifest.json").read_text()
    assert "Phantom" not in text
    assert study not in text
    # The same person as in what is de-identified.
    published = deidentify_folder(DeidentifyRequest(source, tmp_path / "share"), secret=b"k")
    assert published.count(Outcome.ACCEPTED) == 14
    assert [path.name for path in (tmp_path / "share").iterdir()] == [volume.patient_key]


def test_two_studies_without_a_patient_id_are_two_people(tmp_path):
    for number in (1, 2):
        write_case(tmp_path / "in" / str(number) / "ct", "slope_per_slice" if number == 2 else "regular", seed=number)
        nameless(tmp_path / "in" / str(number), "PatientID")
    ingest(IngestRequest(tmp_path / "in", tmp_path / "store", IngestPolicy(every=Action.REPAIR)), secret=b"k")
    volumes = load_record(tmp_path / "store" / "manifest.json", StoreManifest).volumes
    assert len({volume.patient_key for volume in volumes}) == len(volumes) == 2


def test_a_missing_study_is_not_repaired(source, tmp_path):
    nameless(source, "PatientID", "StudyInstanceUID")
    assert ingested(source, tmp_path, IngestPolicy(every=Action.REPAIR)).codes() == {"PATIENT_ID_MISSING": 14}
