"""A vault's log: every line follows the one before, and neither a change nor a cut goes unnoticed."""

from __future__ import annotations

import json
import os
import pwd

import pytest

from data_contracts import VaultError
from medkd.dicom.confidentiality.vault_key import cipher_of, new_key
from medkd.dicom.confidentiality.vault_log import LOG, SEAL, VaultLog


@pytest.fixture
def cipher():
    return cipher_of([new_key()])


@pytest.fixture
def written(tmp_path, cipher):
    log = VaultLog(tmp_path, cipher)
    for study in ("2.25.1", "2.25.2", "2.25.3"):
        log.append("recorded", (study,))
    return tmp_path


def altered(folder, cipher):
    with pytest.raises(VaultError) as caught:
        VaultLog(folder, cipher).append("read", ("2.25.1",))
    return caught.value.code == "VAULT_LOG_ALTERED"


def test_lines_say_who_what_and_when_and_follow_one_another(written, cipher, monkeypatch):
    for name in ("USER", "LOGNAME"):
        monkeypatch.setenv(name, "somebody else")
    VaultLog(written, cipher).append("read", ("2.25.1",))
    assert VaultLog(written, cipher).read()[-1].who == pwd.getpwuid(os.getuid()).pw_name
    lines = VaultLog(written, cipher).read()
    assert [line.studies for line in lines] == [("2.25.1",), ("2.25.2",), ("2.25.3",), ("2.25.1",)]
    assert all(line.who and line.at.endswith("Z") for line in lines)
    assert [line.previous for line in lines] == [None, *(line.digest() for line in lines[:-1])]


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [lines[0], lines[1].replace(b"2.25.2", b"2.25.9"), lines[2]],
        lambda lines: [lines[0], lines[2]],
        lambda lines: lines[:2],
        lambda lines: lines[1:],
        lambda lines: [lines[1], lines[0], lines[2]],
        lambda lines: [*lines, lines[2]],
        lambda lines: [*lines, b"{}"],
        lambda lines: [lines[0], lines[1], lines[2].replace(b"2.25.3", b"2.25.9")],
        lambda _: [],
    ],
)
def test_what_was_changed_cut_or_put_in_is_noticed(written, cipher, change):
    path = written / LOG
    path.write_bytes(b"\n".join(change(path.read_bytes().splitlines())))
    assert altered(written, cipher)


def test_a_seal_that_is_gone_or_of_another_key_is_noticed(written, cipher):
    seal = (written / SEAL).read_bytes()
    (written / SEAL).write_bytes(cipher_of([new_key()]).encrypt(json.dumps([3, None]).encode()))
    assert altered(written, cipher)
    (written / SEAL).unlink()
    assert altered(written, cipher)
    (written / SEAL).write_bytes(seal)
    assert len(VaultLog(written, cipher).read()) == 3


def test_a_line_whose_seal_was_never_written_is_not_taken_for_a_change(written, cipher):
    seal = (written / SEAL).read_bytes()
    VaultLog(written, cipher).append("read", ("2.25.1",))
    (written / SEAL).write_bytes(seal)  # the process ended between the two
    log = VaultLog(written, cipher)
    log.append("read", ("2.25.2",))
    assert len(log.read()) == 5
