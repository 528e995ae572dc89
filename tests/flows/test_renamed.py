"""Names that commands and options had before are still read, with one line that says the new ones."""

from __future__ import annotations

import pytest
import typer

from flows.commands import app
from flows.commands.renamed import COMMANDS, OPTIONS, read_old_names


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("extract R.yaml --json", "extract-knowledge R.yaml --json"),
        ("-v catalogue losses", "-v list losses"),
        ("inspect R.yaml --model M", "inspect-model R.yaml --model M"),
        ("planted-truth --cases 2", "benchmark-explainers --cases 2"),
        ("report S --run R", "report-store S --run R"),
        ("explain --model M --study S --seconds 3", "explain-study S --model M --time-budget 3"),
        ("explain --study=S --model=M --seconds=3", "explain-study S --model=M --time-budget=3"),
        ("explain R.yaml --model M", "explain-model R.yaml --model M"),
        ("evaluate --model M --data F --pair-by odd-even", "evaluate-folder F --model M --patient-pattern odd-even"),
        ("deidentify S --out O --kept K", "deidentify S --out O --quarantine-folder K"),
    ],
)
def test_an_old_call_is_read_as_the_new_one(typed, meant):
    translated, said = read_old_names(typed.split())
    assert translated == meant.split()
    assert len(said.splitlines()) == 1
    assert f"`medkd {next(word for word in meant.split() if not word.startswith('-'))}" in said or "--quarantine-folder" in said
    for old, new in {old: new for options in OPTIONS.values() for old, new in options.items()}.items():
        assert (f"`{old}` is `{new}`" in said) == (old in typed)


@pytest.mark.parametrize(
    "typed", ["", "--help", "explain R.yaml --out O", "evaluate R.yaml", "run --kept", "list losses", "explain-study S --model M"]
)
def test_todays_calls_are_left_as_they_are(typed):
    assert read_old_names(typed.split()) == (typed.split(), "")


def test_new_names_exist_and_old_ones_are_not_listed():
    commands = typer.main.get_command(app).commands
    assert set(COMMANDS.values()) | set(OPTIONS) <= set(commands)
    assert not set(COMMANDS) & set(commands)
    for command, options in OPTIONS.items():
        known = {option for parameter in commands[command].params for option in parameter.opts}
        assert set(options.values()) <= known
        assert not set(options) & known


def test_the_command_line_says_it_in_one_line_and_answers(here):
    status, out, errors = here("catalogue", "losses", "--json")
    assert status == 0
    assert out == here("list", "losses", "--json")[1]
    assert errors == "renamed: `medkd catalogue` is `medkd list`; this version is the last to read the old names\n"


def test_an_old_option_reaches_its_command(here, tmp_path):
    status, _, errors = here("deidentify", tmp_path / "nowhere", "--out", tmp_path / "o", "--kept", tmp_path / "k")
    assert status == 2
    assert [line.split(":")[0] for line in errors.splitlines()] == ["renamed", "SOURCE_MISSING"]
