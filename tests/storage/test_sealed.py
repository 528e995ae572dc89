"""A record with a digest beside it: one flipped byte is refused, and a process that is killed leaves both fitting."""

from __future__ import annotations

import pytest

from data_contracts import Cohort, Split, StoreError
from medkd.storage.sealed import load_sealed, seal_of, write_sealed


def cohort(name):
    return Cohort(name=name, origin="test", classes=("a", "b"), cases=(), split=Split(parts={}))


def test_any_flipped_byte_is_refused_by_name(tmp_path):
    path = write_sealed(cohort("one"), tmp_path / "cohort.json")
    whole = path.read_bytes()
    for place in range(len(whole)):
        payload = bytearray(whole)
        payload[place] ^= 1
        path.write_bytes(payload)
        with pytest.raises(StoreError, match=r"cohort\.json as it was written.*or run again what wrote it") as caught:
            load_sealed(path, Cohort)
        assert caught.value.code == "RECORD_ALTERED"
    path.write_bytes(whole)
    assert load_sealed(path, Cohort) == cohort("one")


def test_killed_between_the_two_writes_both_versions_are_believed(tmp_path):
    path = write_sealed(cohort("one"), tmp_path / "cohort.json")
    seal_of(path).write_text(f"{cohort('two').digest()}\n{cohort('one').digest()}")
    assert load_sealed(path, Cohort) == cohort("one")
    cohort("two").write(path)
    assert load_sealed(path, Cohort) == cohort("two")
    write_sealed(cohort("three"), path)
    assert seal_of(path).read_text() == cohort("three").digest()


def test_a_record_of_an_earlier_version_is_read(tmp_path):
    path = cohort("one").write(tmp_path / "cohort.json")
    assert load_sealed(path, Cohort) == cohort("one")
    write_sealed(cohort("two"), path)
    path.write_bytes(path.read_bytes().replace(b"two", b"tow"))
    with pytest.raises(StoreError):
        load_sealed(path, Cohort)
