"""Pseudonyms are keyed by a secret that the site keeps for itself."""

from __future__ import annotations

import stat

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
