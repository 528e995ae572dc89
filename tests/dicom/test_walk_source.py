"""Every file, folder and link of a source has its line in the ledger, whatever it is called and whoever may read it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from data_contracts import Action, IngestCode, IngestPolicy, Outcome
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
