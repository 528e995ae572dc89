"""What the commands share: options, results, and errors as one sentence."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from data_contracts import RecipeError, RegistryError, SourceError
from flows.commands import common
from flows.commands.common import (
    claim_run,
    clear_errors,
    options_first,
    pairs,
    parse_overrides,
    recipe_overrides,
    registry_uri,
    say_json,
    say_where,
    write_json,
)  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["run", "r.yaml", "-v"], ["-v", "run", "r.yaml"]),
        (["run", "--verbose", "r.yaml", "-v"], ["--verbose", "run", "r.yaml"]),
        (["run", "r.yaml"], ["run", "r.yaml"]),
        ([], []),
    ],
)
def test_an_option_of_every_command_may_stand_anywhere(typed, meant):
    assert options_first(typed) == meant


def test_overrides_are_read_as_yaml():
    assert parse_overrides(["a.b=3", "c=[1, 2]", "d=x=y", "e=", "f=null"]) == {"a.b": 3, "c": [1, 2], "d": "x=y", "e": None, "f": None}
    assert parse_overrides(None) == {}


@pytest.mark.parametrize("typed", ["a", "a=[1"])
def test_an_override_that_is_none_is_one_sentence(typed):
    with pytest.raises(RecipeError, match="--set") as caught:
        parse_overrides([typed])
    assert caught.value.code == "RECIPE_OVERRIDE"


def test_other_pairs_have_their_own_code():
    assert pairs(["sex=F", "age="], "--where COLUMN=VALUE") == {"sex": "F", "age": ""}
    with pytest.raises(RecipeError, match="expected --where COLUMN=VALUE, got 'sex'") as caught:
        pairs(["sex"], "--where COLUMN=VALUE")
    assert caught.value.code == "OPTION_PAIR"


def test_who_types_the_whole_path_of_the_data_means_that_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDKD_DATA", "/data")
    assert recipe_overrides(["data.path=inside"]) == ({"data.path": "inside"}, Path("/data"))
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "real" / "table.csv").write_text("id")
    wanted, root = recipe_overrides([f"data.path=file://{tmp_path / 'real'}"])
    assert (wanted, (root / "real" / "table.csv").read_text()) == ({"data.path": "real"}, "id")
    assert recipe_overrides([f"data.path={tmp_path / 'link'}"]) == ({"data.path": "real"}, tmp_path)


def test_a_run_is_claimed_once_its_sources_are_there_and_apart(tmp_path):
    with pytest.raises(SourceError):
        claim_run(tmp_path / "run", tmp_path / "none")
    assert not (tmp_path / "run").exists()
    (tmp_path / "in").mkdir()
    assert claim_run(tmp_path / "x" / ".." / "run", tmp_path / "in") == tmp_path / "run"


def test_a_registry_that_is_not_there_is_refused_before_anything_is_imported(tmp_path):
    with pytest.raises(RegistryError):
        registry_uri(tmp_path, None)
    (tmp_path / "mlflow.db").touch()
    with pytest.raises(RegistryError):
        registry_uri(tmp_path, "sqlite:////nowhere/at/all.db")


def test_results_are_one_line_for_machines_and_a_file_for_their_owner(tmp_path, capsys):
    say_json({"a": 1})
    assert capsys.readouterr().out == '{"a": 1}\n'
    write_json(tmp_path / "s.json", {"a": 1})
    assert json.loads((tmp_path / "s.json").read_text()) == {"a": 1}
    assert stat.S_IMODE((tmp_path / "s.json").stat().st_mode) == 0o600


def test_a_run_says_where_everything_is(capsys):
    summary = {
        "ingest": {"found": 9, "accepted": 7, "quarantined": 1, "ignored": 1}, "models": [1, 2], "explanations": 4, "tracking_uri": "sqlite:///x y",
        "reports": ["a.html"], "seconds": 61.4, "engine": "none", "repeated": {"distill": 2},
    }  # fmt: skip
    say_where(summary, Path("runs/x"))
    said = capsys.readouterr().out
    assert "9 files found: 7 accepted, 1 quarantined, 1 ignored" in said
    assert "2 model versions, 4 explanations" in said
    assert "here or in an earlier start of this run: distill (2)" in said
    assert "'sqlite:///x y'" in said
    assert "look at http://127.0.0.1:5000/#/experiments and choose Model training" in said
    say_where({**summary, "tracking_uri": "https://me:secret@there:5000/"}, Path("runs/x"))
    said = capsys.readouterr().out
    assert ("mlflow ui" in said, "secret" in said, "https://…@there:5000/#/experiments and" in said) == (False, False, True)
    assert f"summary   {Path('runs/x/summary.json')} (61 s, engine none)" in said
    say_where({**summary, "ingest": {}, "models": [], "reports": [], "repeated": {}}, Path("runs/x"))
    assert capsys.readouterr().out.startswith("summary")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (SourceError("SOURCE_MISSING", "expected a folder"), "SOURCE_MISSING", "expected a folder"),
        (MemoryError(), "MEMORY_TOO_SMALL", "there is too little"),
        (OSError(28, "No space left on device"), "SYSTEM_REFUSED", "No space left on device"),
    ],
)
def test_an_error_is_one_sentence_and_status_two(error, code, said, capsys):
    with pytest.raises(SystemExit) as ended, clear_errors():
        raise error
    text = capsys.readouterr().err
    assert ended.value.code == 2
    assert text.startswith(f"{code}: ")
    assert said in text
    assert len(text.splitlines()) == 1


def test_a_fault_of_ours_is_one_line_and_its_trace_a_file(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(common.tempfile, "tempdir", str(tmp_path))
    with pytest.raises(SystemExit), clear_errors():
        raise ValueError("first\nsecond")
    text = capsys.readouterr().err
    assert text.startswith("UNEXPECTED: expected to go on, got ValueError: first second; this is a fault of medkd, report it with ")
    (trace,) = tmp_path.glob("medkd-error-*.txt")
    assert str(trace) in text
    assert "Traceback" in trace.read_text()


def test_where_no_trace_can_be_kept_the_way_to_see_it_is_named(monkeypatch, capsys):
    def refuse(**_):
        raise OSError

    monkeypatch.setattr(common.tempfile, "mkstemp", refuse)
    with pytest.raises(SystemExit), clear_errors():
        raise ValueError
    assert capsys.readouterr().err.rstrip().endswith("report it with -v")


def test_help_lists_commands_by_what_they_are_for_with_their_whole_first_sentence(here):
    status, text, _ = here("--help")
    assert status == 0
    sections = [line.rstrip(":") for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert [name for name in sections if name in {group.value for group in common.CommandGroup}] == [
        group.value for group in common.CommandGroup
    ]
    said = " ".join(text.split())
    assert "Verify, de-identify and store every series of a folder; what is refused is quarantined with its reason." in said


def test_what_every_command_is_told_is_known_to_the_run(here, monkeypatch):
    monkeypatch.setenv("MEDKD_VERBOSE", "0")
    monkeypatch.setenv("MEDKD_MACHINE_OUTPUT", "0")
    assert here("list", "networks", "--json", "-v")[0] == 0
    assert (os.environ["MEDKD_VERBOSE"], os.environ["MEDKD_MACHINE_OUTPUT"]) == ("1", "1")


def test_a_version_is_said_without_a_command(here):
    from medkd import __version__

    assert here("--version") == (0, f"medkd {__version__}\n", "")
