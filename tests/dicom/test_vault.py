"""The vault: what a published study was, for whoever has the key, and for nobody else."""

from __future__ import annotations

import json
import shutil
import stat

import pydicom
import pytest

from data_contracts import OutputError, VaultError
from medkd.dicom.confidentiality import vault as vaults
from medkd.dicom.confidentiality.publish import DeidentifyRequest, deidentify_folder
from medkd.dicom.confidentiality.vault import open_vault, read_log
from medkd.dicom.confidentiality.vault_key import key_file, new_key, read_keys, write_keys
from medkd.phantom.dicom_faults import write_case

SECRET = b"k"


@pytest.fixture(autouse=True)
def key(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDKD_VAULT_KEY", str(tmp_path / "keys" / "vault.key"))
    return key_file()


@pytest.fixture
def published(tmp_path):
    """De-identify a study with a vault; return the originals and what was published."""
    paths = write_case(tmp_path / "in", "regular")
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.SpecificCharacterSet, dataset.PatientName, dataset.AccessionNumber = "ISO_IR 100", "Grübelmüller^Zoë", "ACC4821"
        dataset.PatientBirthDate, dataset.StudyDate, dataset.StudyTime = "19500515", "20200229", "101500"
        dataset.save_as(path)
    deidentify_folder(DeidentifyRequest(tmp_path / "in", tmp_path / "out", vault=tmp_path / "vault"), secret=SECRET)
    written = [pydicom.dcmread(path) for path in sorted((tmp_path / "out").rglob("*.dcm"))]
    return [pydicom.dcmread(path) for path in paths], written


def read(tmp_path, study):
    with open_vault(tmp_path / "vault") as opened:
        return opened.read([study], "a test")[study]


def code_of(action):
    with pytest.raises((VaultError, OutputError)) as caught:
        action()
    assert str(caught.value).startswith("expected")
    return caught.value.code


def test_a_published_study_leads_back_to_what_it_was(published, tmp_path):
    originals, written = published
    entry = read(tmp_path, str(written[0].StudyInstanceUID))
    header = pydicom.Dataset.from_json(entry.attributes)
    assert (str(header.PatientName), header.PatientID, header.AccessionNumber) == ("Grübelmüller^Zoë", originals[0].PatientID, "ACC4821")
    assert {entry.uids[str(one.SOPInstanceUID)] for one in written} == {str(one.SOPInstanceUID) for one in originals}
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        assert entry.uids[str(written[0][keyword].value)] == str(originals[0][keyword].value)
    assert entry.patient_key == written[0].PatientID
    moved = pydicom.valuerep.DA(written[0].StudyDate) - pydicom.valuerep.DA("20200229")
    assert moved.days in (entry.shift_days, entry.shift_days + 1)


def test_without_the_key_a_vault_says_nothing(published, tmp_path):
    held = b"".join(path.read_bytes() for path in (tmp_path / "vault").rglob("*") if path.is_file())
    for text in (b"belm", b"ACC4821", b"19500515", str(published[0][0].StudyInstanceUID).encode()):
        assert text not in held
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in (tmp_path / "vault").rglob("*"))
    assert not list((tmp_path / "out").rglob("*.vault"))


def test_nothing_is_kept_unless_it_is_asked_for(tmp_path, key):
    write_case(tmp_path / "in", "regular")
    deidentify_folder(DeidentifyRequest(tmp_path / "in", tmp_path / "out"), secret=SECRET)
    assert not key.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out", "out.quarantine"]


def test_every_read_is_written_down_before_anything_is_told(published, tmp_path, monkeypatch):
    study = str(published[1][0].StudyInstanceUID)
    monkeypatch.setattr(vaults.Vault, "_read", lambda *_: pytest.fail("told before it was written down"))
    with pytest.raises(pytest.fail.Exception):
        read(tmp_path, study)
    events = read_log(tmp_path / "vault")
    assert [(event.what, event.studies) for event in events] == [("recorded", (study,)), ("read", (study,))]


def test_the_same_study_again_is_recorded_once_and_more_of_it_is_added(published, tmp_path):
    study = str(published[1][0].StudyInstanceUID)
    deidentify_folder(DeidentifyRequest(tmp_path / "in", tmp_path / "out", vault=tmp_path / "vault"), secret=SECRET)
    assert len(read_log(tmp_path / "vault")) == 1
    before = read(tmp_path, study)
    path = next((tmp_path / "in").iterdir())
    dataset = pydicom.dcmread(path)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.99"
    shutil.rmtree(tmp_path / "in")
    path.parent.mkdir()
    dataset.save_as(path)
    deidentify_folder(DeidentifyRequest(tmp_path / "in", tmp_path / "out", vault=tmp_path / "vault"), secret=SECRET)
    after = read(tmp_path, study)
    assert set(after.uids.values()) - set(before.uids.values()) == {"1.2.3.4.99"}
    assert before.uids.items() < after.uids.items()


def test_a_rotated_vault_is_read_with_the_new_key_alone(published, tmp_path, key):
    study, (old,) = str(published[1][0].StudyInstanceUID), read_keys(key)
    with open_vault(tmp_path / "vault") as opened:
        assert opened.rotate() == 1
    (new,) = read_keys(key)
    assert new != old
    assert read(tmp_path, study).study == study
    assert [event.what for event in read_log(tmp_path / "vault")] == ["recorded", "rotated", "read"]
    write_keys(key, [old])
    assert code_of(lambda: read(tmp_path, study)) == "VAULT_KEY_WRONG"


@pytest.mark.parametrize("at", [0, 1, 2, 3, 4, 5])
def test_a_rotation_that_is_cut_short_loses_nothing_and_is_finished(published, tmp_path, key, monkeypatch, at):
    study, calls, whole = str(published[1][0].StudyInstanceUID), iter(range(99)), vaults.write_bytes

    def cut(path, payload):
        if next(calls) == at:
            raise KeyboardInterrupt
        whole(path, payload)

    with monkeypatch.context() as patched:
        patched.setattr("medkd.dicom.confidentiality.vault.write_bytes", cut)
        patched.setattr("medkd.dicom.confidentiality.vault_log.write_bytes", cut)
        with open_vault(tmp_path / "vault") as opened:
            try:
                opened.rotate()
            except KeyboardInterrupt:
                cut_short = True
            else:
                cut_short = False
    assert cut_short == (at < 5)
    assert read(tmp_path, study).study == study
    with open_vault(tmp_path / "vault") as opened:
        opened.rotate()
    assert len(read_keys(key)) == 1
    assert read(tmp_path, study).study == study


def test_what_cannot_be_trusted_or_is_not_there_is_refused_in_one_sentence(published, tmp_path, key):
    study = str(published[1][0].StudyInstanceUID)
    assert code_of(lambda: read(tmp_path, "2.25.1")) == "VAULT_ENTRY_MISSING"
    assert code_of(lambda: read(tmp_path, "../keys")) == "VAULT_ENTRY_MISSING"
    path = tmp_path / "vault" / "studies" / f"{study}.vault"
    payload = path.read_bytes()
    path.write_bytes(payload[:40] + b"A" + payload[41:] if payload[40:41] != b"A" else payload[:40] + b"B" + payload[41:])
    assert code_of(lambda: read(tmp_path, study)) == "VAULT_ALTERED"
    # An entry under another study's name is no entry of that study.
    (path.parent / "2.25.7.vault").write_bytes(payload)
    assert code_of(lambda: read(tmp_path, "2.25.7")) == "VAULT_ALTERED"
    path.write_bytes(payload)
    (path.parent / "2.25.7.vault").unlink()
    (held,) = read_keys(key)
    write_keys(key, [new_key()])
    assert code_of(lambda: read(tmp_path, study)) == "VAULT_KEY_WRONG"
    key.unlink()
    assert code_of(lambda: read(tmp_path, study)) == "VAULT_KEY_MISSING"
    # A lost key is never replaced by a new one: what was recorded could not be read, and nobody would know.
    again = DeidentifyRequest(tmp_path / "in", tmp_path / "again", vault=tmp_path / "vault")
    assert code_of(lambda: deidentify_folder(again, secret=SECRET)) == "VAULT_KEY_MISSING"
    assert not list((tmp_path / "again").rglob("*.dcm"))
    write_keys(key, [held])
    (tmp_path / "vault" / "keys.json").write_text(json.dumps([1]))
    assert code_of(lambda: read(tmp_path, study)) == "VAULT_ALTERED"
    assert code_of(lambda: read_log(tmp_path / "nowhere")) == "VAULT_MISSING"
    assert code_of(lambda: read_log(tmp_path / "out")) == "VAULT_MISSING"


@pytest.mark.parametrize("place", ["out", "out/vault", "in/vault", "out.quarantine/vault", "."])
def test_a_vault_never_lies_in_what_is_handed_on_nor_with_the_source(tmp_path, place):
    write_case(tmp_path / "in", "regular")
    request = DeidentifyRequest(tmp_path / "in", tmp_path / "out", vault=tmp_path / place)
    assert code_of(lambda: deidentify_folder(request, secret=SECRET)) == "OUT_OVERLAPS"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_a_key_in_what_is_handed_on_is_refused(tmp_path, monkeypatch):
    write_case(tmp_path / "in", "regular")
    monkeypatch.setenv("MEDKD_VAULT_KEY", str(tmp_path / "out" / "vault.key"))
    request = DeidentifyRequest(tmp_path / "in", tmp_path / "out", vault=tmp_path / "vault")
    assert code_of(lambda: deidentify_folder(request, secret=SECRET)) == "VAULT_KEY_PLACE"
    monkeypatch.setenv("MEDKD_VAULT_KEY", str(tmp_path / "vault" / "vault.key"))
    assert code_of(lambda: deidentify_folder(request, secret=SECRET)) == "VAULT_KEY_PLACE"
    assert not (tmp_path / "out").exists()


def test_somebody_elses_folder_is_no_vault(tmp_path):
    write_case(tmp_path / "in", "regular")
    (tmp_path / "vault").mkdir()
    (tmp_path / "vault" / "note.txt").write_text("mine")
    request = DeidentifyRequest(tmp_path / "in", tmp_path / "out", vault=tmp_path / "vault")
    assert code_of(lambda: deidentify_folder(request, secret=SECRET)) == "OUT_FOREIGN"
    assert not list((tmp_path / "out").rglob("*.dcm"))
