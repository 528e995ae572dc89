"""The folder of a study is emptied of what an ingestion wrote, and of nothing else."""

from __future__ import annotations

import pytest

from data_contracts import OutputError
from medkd.dicom.study_folder import claim_study, empty_store
from medkd.storage.output import MARKER, RUN, STUDY, STUDY_STORE, claim, kind_of

KEY = "s" + "0123456789abcdef"
WRITTEN = ("manifest.json", f"volumes/{KEY}.safetensors", f"qc/{KEY}-0123456789ab.png", "quarantine/0123456789abcdef/file")
OF_OTHERS = ("notes.txt", "volumes/mine.safetensors", f"qc/{KEY}.png", "quarantine/letter.pdf")


@pytest.fixture
def store(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.dcm").write_bytes(b"x")
    return claim_study(tmp_path / "in", tmp_path / "out")


def fill(store, *names):
    for name in names:
        (store / name).parent.mkdir(parents=True, exist_ok=True)
        (store / name).write_bytes(b"x")


def test_a_claimed_folder_says_what_it_was_made_for(store):
    assert (kind_of(store.parent), kind_of(store)) == (STUDY, STUDY_STORE)


def test_what_an_ingestion_wrote_goes_and_what_somebody_put_beside_it_stays(store):
    fill(store, *WRITTEN, *OF_OTHERS)
    empty_store(store)
    left = {path.relative_to(store).as_posix() for path in store.rglob("*") if path.is_file()}
    assert left == {*OF_OTHERS, MARKER}


def test_folders_that_are_empty_then_go_too(store):
    fill(store, *WRITTEN)
    empty_store(store)
    assert [path.name for path in store.iterdir()] == [MARKER]


def test_a_folder_that_was_made_for_something_else_is_left_alone(store, tmp_path):
    claim(tmp_path / "run", RUN)
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError):
        claim_study(tmp_path / "in", tmp_path / "run")
    with pytest.raises(OutputError):
        empty_store(tmp_path / "run")
