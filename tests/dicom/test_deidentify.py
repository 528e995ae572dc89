from __future__ import annotations

import stat

import pytest

from medkd.dicom.confidentiality.secret import pseudonym, site_secret


def test_a_pseudonym_is_the_same_for_the_same_and_another_for_another():
    assert pseudonym(b"k", "patient", "A") == pseudonym(b"k", "patient", "A")
    keys = {pseudonym(s, k, i) for s in (b"k", b"l") for k in ("patient", "study") for i in ("A", "B")}
    assert len(keys) == 8
    assert all("A" not in key[1:].upper().replace("A", "") for key in keys)


def test_the_secret_of_the_site_is_made_once_and_only_its_owner_can_read_it(tmp_path, monkeypatch, caplog):
    monkeypatch.delenv("MEDKD_SECRET")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    first, second = site_secret(), site_secret()
    path = tmp_path / "medkd" / "secret"
    assert first == second
    assert len(first) == 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert caplog.text.count("made a new pseudonym secret") == 1
    assert first.decode() not in caplog.text


def test_a_given_secret_wins(monkeypatch):
    monkeypatch.setenv("MEDKD_SECRET", "given")
    assert site_secret() == b"given"


@pytest.mark.parametrize(("age", "years"), [("045Y", 45), ("101Y", 90), ("006M", None), ("", None)])
def test_ages_are_years_and_the_oldest_are_not_told_apart(age, years, ingested):
    from pydicom import Dataset

    from data_contracts import StoreManifest, load_record
    from medkd.dicom.confidentiality.describe import describe_series

    volume = load_record(ingested[1] / "manifest.json", StoreManifest).volumes[0]
    header = Dataset()
    header.PatientAge, header.PatientSex = age, "F"
    assert describe_series(volume, header, b"k").age_years == years
