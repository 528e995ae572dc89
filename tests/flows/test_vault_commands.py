"""`medkd vault` on the command line, and what it says to whoever has the wrong key, folder or results."""

from __future__ import annotations

import json

import pydicom
import pytest

from medkd.phantom.dicom_faults import write_case


@pytest.fixture
def site(here, tmp_path, monkeypatch):
    """De-identify a study with a vault that the environment names; return a caller of the command line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDKD_VAULT", "vault")
    monkeypatch.setenv("MEDKD_VAULT_KEY", str(tmp_path / "keys" / "vault.key"))
    write_case(tmp_path / "in", "regular")
    assert here("deidentify", "in", "--out", "share", "--json")[0] == 0
    return here


def test_results_are_led_back_and_the_log_says_so(site, tmp_path):
    original = pydicom.dcmread(next((tmp_path / "in").rglob("*.dcm")))
    # An image of the published study stands for a result: it is led back like one.
    status, line, _ = site("vault", "reidentify", "share", "--out", "back", "--json")
    assert (status, json.loads(line)["studies"]) == (0, 1)
    written = [pydicom.dcmread(path) for path in (tmp_path / "back").rglob("*.dcm")]
    assert {(str(one.PatientID), str(one.StudyInstanceUID)) for one in written} == {(original.PatientID, original.StudyInstanceUID)}
    status, line, _ = site("vault", "rotate")
    assert status == 0
    assert line.startswith("1 studies are encrypted with a new key")
    status, line, _ = site("vault", "log", "--json")
    assert [event["what"] for event in json.loads(line)["events"]] == ["recorded", "read", "rotated"]
    status, line, _ = site("vault", "log")
    assert line.splitlines()[-1] == "3 lines, none altered"
    assert original.PatientID not in line


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("vault", "reidentify", "nowhere", "--out", "back"), "SOURCE_MISSING"),
        (("vault", "reidentify", "keys", "--out", "back"), "RESULTS_MISSING"),
        (("vault", "reidentify", "in", "--out", "back"), "VAULT_ENTRY_MISSING"),
        (("vault", "reidentify", "share", "--out", "share"), "OUT_OVERLAPS"),
        (("vault", "reidentify", "share", "--out", "back", "--vault", "in"), "VAULT_MISSING"),
        (("vault", "rotate", "--vault", "nowhere"), "VAULT_MISSING"),
        (("vault", "log", "--vault", "keys/vault.key"), "VAULT_MISSING"),
        (("deidentify", "in", "--out", "again", "--vault", "again"), "OUT_OVERLAPS"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_with_a_code_and_status_two(site, tmp_path, arguments, code):
    status, line, errors = site(*arguments)
    assert (status, line) == (2, "")
    assert errors.startswith(f"{code}: expected")
    assert len(errors.splitlines()) == 1
    assert not list((tmp_path / "back").rglob("*.dcm"))


@pytest.mark.parametrize("bytes_of_key", [b"", b"\xff\x00", b"not a key", b"A" * 44])
def test_a_key_that_is_none_or_another_is_refused(site, tmp_path, bytes_of_key):
    (tmp_path / "keys" / "vault.key").write_bytes(bytes_of_key)
    for arguments in (("vault", "log"), ("vault", "rotate"), ("vault", "reidentify", "share", "--out", "back")):
        status, _, errors = site(*arguments)
        assert status == 2
        assert errors.startswith("VAULT_KEY_")
        assert len(errors.splitlines()) == 1


@pytest.mark.parametrize("name", ["log.jsonl", "log.seal", "keys.json", "study"])
def test_an_altered_vault_is_refused(site, tmp_path, name):
    path = next((tmp_path / "vault" / "studies").iterdir()) if name == "study" else tmp_path / "vault" / name
    path.write_bytes(path.read_bytes()[:-3])
    status, _, errors = site("vault", "reidentify", "share", "--out", "back")
    assert status == 2
    assert errors.startswith(("VAULT_ALTERED", "VAULT_LOG_ALTERED"))
    assert len(errors.splitlines()) == 1
    assert not list((tmp_path / "back").rglob("*.dcm"))
