"""The key of a vault: made once, for its owner alone, and never where it would be handed on."""

from __future__ import annotations

import stat

import pytest
from cryptography.fernet import Fernet, InvalidToken

from data_contracts import VaultError
from medkd.dicom.confidentiality.vault_key import (
    cipher_of,
    fingerprint,
    key_file,
    make_keys,
    new_key,
    read_keys,
    require_key_apart,
    write_keys,
)


def test_a_key_is_made_once_and_only_its_owner_can_read_it(tmp_path, caplog):
    path = tmp_path / "state" / "vault.key"
    keys = make_keys(path)
    assert make_keys(path) == keys == read_keys(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert caplog.text.count("made a new vault key") == 1
    assert keys[0] not in caplog.text


def test_the_environment_says_where_the_key_lies(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDKD_VAULT_KEY", str(tmp_path / "own.key"))
    assert key_file() == tmp_path / "own.key"
    monkeypatch.delenv("MEDKD_VAULT_KEY")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert key_file() == tmp_path / "medkd" / "vault.key"


def test_what_is_no_key_is_refused(tmp_path):
    path = tmp_path / "vault.key"
    with pytest.raises(VaultError) as caught:
        read_keys(path)
    assert caught.value.code == "VAULT_KEY_MISSING"
    for text in ("", "secret", Fernet.generate_key().decode()[:-4]):
        write_keys(path, [text])
        with pytest.raises(VaultError) as caught:
            read_keys(path)
        assert caught.value.code == "VAULT_KEY_INVALID"
    write_keys(path, [new_key()])
    path.chmod(0o640)
    with pytest.raises(VaultError, match="640") as caught:
        read_keys(path)
    assert caught.value.code == "VAULT_KEY_OPEN"


def test_the_first_key_encrypts_and_each_decrypts(tmp_path):
    old, new = new_key(), new_key()
    write_keys(tmp_path / "vault.key", [new, old])
    both = cipher_of(read_keys(tmp_path / "vault.key"))
    assert both.decrypt(cipher_of([old]).encrypt(b"x")) == b"x"
    assert cipher_of([new]).decrypt(both.encrypt(b"x")) == b"x"
    with pytest.raises(InvalidToken):
        cipher_of([old]).decrypt(both.encrypt(b"x"))
    assert fingerprint(old) != fingerprint(new)
    assert fingerprint(old) not in old


def test_a_key_in_a_folder_that_is_handed_on_is_refused(tmp_path):
    (tmp_path / "out" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "out")
    require_key_apart(tmp_path / "vault.key", tmp_path / "out")
    for path in (tmp_path / "out" / "vault.key", tmp_path / "link" / "deep" / "vault.key"):
        with pytest.raises(VaultError) as caught:
            require_key_apart(path, tmp_path / "out")
        assert caught.value.code == "VAULT_KEY_PLACE"
