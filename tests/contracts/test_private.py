"""Files and folders that only their owner can read, under whatever umask."""

from __future__ import annotations

import os
import stat

import pytest

from data_contracts.private import close_to_others, make_ordinary, open_private, ordinary_umask, private_folder, privately
from tests.ground_truth import open_to_others


@pytest.fixture(autouse=True)
def usual_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o027])
def test_what_is_written_privately_is_its_owners_only_under_any_umask(umask, tmp_path):
    os.umask(umask)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "old").touch()
    with open_private(tmp_path / "a" / "b" / "c") as stream:
        stream.write(b"x")
    open_private(tmp_path / "there" / "old").close()
    private_folder(tmp_path / "a" / "d")
    with privately(), privately():
        (tmp_path / "a" / "by-a-library").write_text("x")
        assert ordinary_umask() == umask
    assert open_to_others(tmp_path / "a") == []
    assert stat.S_IMODE((tmp_path / "there" / "old").stat().st_mode) == 0o600
    assert ordinary_umask() == umask
    make_ordinary(tmp_path / "a")
    assert stat.S_IMODE((tmp_path / "a" / "b" / "c").stat().st_mode) == 0o666 & ~umask
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o777 & ~umask


def test_a_folder_that_is_there_keeps_its_modes_and_new_ones_above_it_are_closed(tmp_path):
    (tmp_path / "there").mkdir(mode=0o755)
    private_folder(tmp_path / "there" / "new" / "deep")
    assert stat.S_IMODE((tmp_path / "there").stat().st_mode) == 0o755
    assert open_to_others(tmp_path / "there" / "new") == []


def test_a_file_in_the_place_of_a_folder_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        private_folder(tmp_path / "file")


def test_closing_takes_from_others_only(tmp_path):
    path = tmp_path / "program"
    path.touch()
    path.chmod(0o755)
    assert stat.S_IMODE(close_to_others(path).stat().st_mode) == 0o700
