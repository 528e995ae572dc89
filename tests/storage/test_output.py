"""Where results go: folders that were empty or that we made, apart from the source (every command: tests/flows/test_outputs.py)."""

from __future__ import annotations

import json
import os
import stat

import pytest

from data_contracts import OutputError, SourceError
from medkd.storage.output import (
    MARKER,
    PHANTOM,
    REPORTS,
    RUN,
    STORE,
    claim,
    claim_unmarked,
    kind_of,
    mark,
    refuse_foreign,
    require_apart,
    require_source,
)  # fmt: skip


@pytest.fixture(autouse=True)
def usual_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_a_folder_that_is_claimed_is_closed(tmp_path):
    (tmp_path / "made").mkdir(mode=0o755)
    claim(tmp_path / "made", STORE)
    claim_unmarked(tmp_path / "above" / "handed-on", "p")
    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o700
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("above", "above/handed-on")} == {0o755}


@pytest.mark.parametrize(
    ("source", "out", "said"),
    [
        ("a", "a", "both are"),
        ("a", "a/out", "lies in"),
        ("a/in", "a", "holds"),
        ("a", "link/out", "lies in"),
        ("link", "a", "both are"),
    ],
)
def test_a_source_and_its_output_do_not_contain_one_another(tmp_path, source, out, said):
    (tmp_path / "a" / "in").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    with pytest.raises(OutputError, match=said) as caught:
        require_apart(tmp_path / source, tmp_path / out)
    assert caught.value.code == "OUT_OVERLAPS"
    require_apart(tmp_path / "a", tmp_path / "ab")


def test_a_list_of_files_stands_for_the_folder_that_it_lists(tmp_path):
    (tmp_path / "DICOMDIR").touch()
    with pytest.raises(OutputError, match="lies in"):
        require_apart(tmp_path / "DICOMDIR", tmp_path / "out")


def test_a_source_is_there_and_can_be_read(tmp_path):
    require_source(tmp_path)
    with pytest.raises(SourceError) as caught:
        require_source(tmp_path / "none")
    assert caught.value.code == "SOURCE_MISSING"


def test_a_folder_is_known_by_its_marker_or_by_what_only_we_leave(tmp_path):
    for name in ("marked", "earlier", "foreign", "broken"):
        (tmp_path / name).mkdir()
    mark(tmp_path / "marked", REPORTS)
    (tmp_path / "earlier" / "manifest.json").write_text('{"schema_version":"store/1"}')
    (tmp_path / "foreign" / "manifest.json").write_text("{}")
    (tmp_path / "broken" / MARKER).write_text("[]")
    assert [kind_of(tmp_path / name) for name in ("marked", "earlier", "foreign", "broken")] == [REPORTS, STORE, None, None]


def test_a_folder_of_another_purpose_or_of_somebody_is_refused_untouched(tmp_path):
    (claim(tmp_path / "store", STORE) / "manifest.json").touch()
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "letter").touch()
    with pytest.raises(OutputError, match="is a store; name another folder"):
        refuse_foreign(tmp_path / "store", RUN)
    with pytest.raises(OutputError, match="holds 'letter', which it did not write"):
        claim(tmp_path / "theirs", RUN)
    assert [path.name for path in (tmp_path / "theirs").iterdir()] == ["letter"]


@pytest.mark.parametrize("name", [".DS_Store", ".medkd-begun", ".x.1.medkd-partial"])
def test_what_systems_and_our_own_interruptions_leave_is_nobodys(tmp_path, name):
    (tmp_path / name).touch()
    claim(tmp_path, RUN)
    assert json.loads((tmp_path / MARKER).read_text())["made_for"] == RUN


def test_a_folder_that_is_handed_on_holds_names_of_ours_and_no_marker(tmp_path):
    (tmp_path / "p1").mkdir()
    claim_unmarked(tmp_path, "p[0-9]+")
    assert [path.name for path in tmp_path.iterdir()] == ["p1"]
    (tmp_path / "mine").mkdir()
    with pytest.raises(OutputError, match="holds 'mine'"):
        claim_unmarked(tmp_path, "p[0-9]+")


def test_invented_studies_are_for_everybody(tmp_path):
    (tmp_path / "phantom").mkdir(mode=0o755)
    claim(tmp_path / "phantom", PHANTOM)
    assert stat.S_IMODE((tmp_path / "phantom").stat().st_mode) == 0o755
