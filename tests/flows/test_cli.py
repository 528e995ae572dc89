"""The command line as a newcomer meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import flows
import medkd
from flows.cli import main
from flows.commands import app
from flows.commands.common import CommandGroup
from flows.commands.options import DEFAULT_ENGINE

RECIPES = Path(flows.__file__).parent / "recipes"
COMMANDS = ("demo", "phantom", "ingest", "run", "evaluate", "evaluate-folder", "explain-study", "report-store", "list", "recipe")


def call(monkeypatch, capsys, *arguments):
    """Call the command line in this process; return exit status, last line of stdout, and stderr."""
    monkeypatch.setattr(sys, "argv", ["medkd", *map(str, arguments)])
    try:
        main()
        status = 0
    except SystemExit as stopped:
        status = stopped.code or 0
    said = capsys.readouterr()
    return status, said.out.strip().splitlines()[-1] if said.out.strip() else "", said.err


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_answers_without_heavy_libraries(command):
    code = (
        "import sys; sys.argv = ['medkd', *filter(None, [sys.argv[1]]), '--help']\n"
        "from flows.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'monai', 'mlflow', 'prefect', 'numpy', 'highdicom'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, command], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "Usage: medkd" in done.stdout


@pytest.mark.parametrize("kind", ["losses", "explainers", "measures", "networks"])
def test_the_catalogue_is_listed(monkeypatch, capsys, kind):
    status, line, _ = call(monkeypatch, capsys, "list", kind, "--json")
    entries = json.loads(line)["entries"]
    assert status == 0
    assert len(entries) >= 2
    assert all({"name", "summary", "options", "source"} <= set(entry) for entry in entries)
    status, _, _ = call(monkeypatch, capsys, "list", kind)
    assert status == 0


def test_phantom_and_ingest_work_from_folder_to_store(monkeypatch, capsys, tmp_path):
    status, line, _ = call(monkeypatch, capsys, "phantom", "--out", tmp_path / "dicom", "--studies", 2, "--json")
    assert (status, json.loads(line)["studies"]) == (0, 2)
    status, line, _ = call(monkeypatch, capsys, "ingest", tmp_path / "dicom", "--out", tmp_path / "store", "--nifti", "--json")
    summary = json.loads(line)
    assert status == 0
    assert set(summary) == {"ingest", "codes", "decoded_files", "series", "files"}
    named = {"volume", "first_file", "residual_mm", "shape", "flags", "synthetic_slices", "picture", "series_key", "words", "coordinates"}
    assert set(summary["series"][0]) == named
    assert set(summary["files"][0]) == {"path", "outcome", "code", "findings"}
    assert summary["ingest"] == {"found": 39, "accepted": 26, "quarantined": 11, "ignored": 2}
    assert len(list((tmp_path / "store" / "nifti").glob("*.nii.gz"))) == 2
    status, line, _ = call(monkeypatch, capsys, "ingest", tmp_path / "dicom", "--out", tmp_path / "store")
    assert status == 0
    assert "quarantine" in line


def test_a_nasty_case_is_refused_or_repaired_as_the_policy_says(monkeypatch, capsys, tmp_path):
    status, line, _ = call(monkeypatch, capsys, "phantom", "--case", "gantry_tilt", "--case", "missing_slice", "--out", tmp_path / "in")
    assert (status, line.split()[:3]) == (0, ["missing_slice", "13", "files"])
    status, line, _ = call(monkeypatch, capsys, "ingest", tmp_path / "in", "--out", tmp_path / "store", "--dry-run")
    assert status == 0
    assert line == "0 volumes would be stored; nothing was written"
    assert not (tmp_path / "store").exists()
    policy = tmp_path / "policy.yaml"
    policy.write_text("actions: {GANTRY_TILT: accept_with_flag}\n")
    for wanted, volumes in (("repair", 2), (str(policy), 1), ("reject", 0)):
        status, line, _ = call(
            monkeypatch, capsys, "ingest", tmp_path / "in", "--out", tmp_path / wanted[-6:], "--policy", wanted, "--json"
        )
        assert (status, len(json.loads(line)["series"])) == (0, volumes)


def test_deidentify_writes_dicom_and_keeps_the_rest_here(monkeypatch, capsys, tmp_path):
    call(monkeypatch, capsys, "phantom", "--case", "regular", "--out", tmp_path / "in")
    status, line, _ = call(monkeypatch, capsys, "deidentify", tmp_path / "in", "--out", tmp_path / "out")
    assert status == 0
    assert line.startswith("published in")
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 14
    status, line, _ = call(monkeypatch, capsys, "deidentify", tmp_path / "in", "--out", tmp_path / "out", "--json")
    assert (status, json.loads(line)["ingest"]["accepted"]) == (0, 14)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("ingest", "nowhere"), "SOURCE_MISSING"),
        (("ingest", ".", "--policy", "hope"), "POLICY_UNREADABLE"),
        (("deidentify", "nowhere", "--out", "out"), "SOURCE_MISSING"),
        (("phantom", "--case", "nonsense", "--out", "out"), "CASE_UNKNOWN"),
        (("phantom", "--case", "regular", "--variant", "nonsense", "--out", "out"), "VARIANT_UNKNOWN"),
        (("run", "nowhere.yaml"), "RECIPE_MISSING"),
        (("run", RECIPES / "phantom-classification.yaml", "--set", "student.fit.epochs=none"), "RECIPE_INVALID"),
        (("run", RECIPES / "phantom-classification.yaml", "--set", "epochs"), "RECIPE_OVERRIDE"),
        (("evaluate", RECIPES / "busbra.yaml", "--set", "data.path=nowhere"), "SOURCE_MISSING"),
        (("report-store", "store", "--run", "nowhere"), "REGISTRY_MISSING"),
    ],
)
def test_bad_input_is_one_sentence_with_a_code_and_status_two(monkeypatch, capsys, tmp_path, arguments, code):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDKD_DATA", str(tmp_path))
    monkeypatch.setenv("MEDKD_WORKERS", "0")
    status, line, error = call(monkeypatch, capsys, *arguments)
    assert status == 2
    assert line == ""
    assert error.startswith(f"{code}: expected")
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize("arguments", [("list", "nothing"), ("demo", "--size", "huge"), ("run",), ("fly",)])
def test_a_wrong_call_is_status_two(monkeypatch, capsys, arguments):
    status, _, error = call(monkeypatch, capsys, *arguments)
    assert status == 2
    assert "Usage" in error or "Error" in error


#: Options that mean the same wherever they are: who drives, which registry, where to, overrides, how it is said.
SHARED = {"--engine", "--json", "--run", "--tracking-uri", "--out", "--set", "--help"}


def commands_of(group, before=""):
    """Return every command by its whole name, those of groups too."""
    found = {}
    for name, command in group.commands.items():
        found |= commands_of(command, f"{before}{name} ") if hasattr(command, "commands") else {f"{before}{name}": command}
    return found


COMMANDS_OF_ALL = commands_of(typer.main.get_command(app))


@pytest.mark.parametrize("name", COMMANDS_OF_ALL)
def test_no_command_has_more_than_seven_options_of_its_own(name):
    options = {parameter.opts[0] for parameter in COMMANDS_OF_ALL[name].params if parameter.param_type_name == "option"}
    assert len(options - SHARED) <= 7, sorted(options - SHARED)


def test_one_engine_drives_every_flow_unless_the_user_says_otherwise():
    drivers = [parameter for command in COMMANDS_OF_ALL.values() for parameter in command.params if parameter.opts[0] == "--engine"]
    assert len(drivers) >= 12
    assert {(one.default, one.envvar) for one in drivers} == {(DEFAULT_ENGINE, "MEDKD_ENGINE")}


def test_help_lists_every_command_under_what_it_is_for(monkeypatch, capsys):
    status, _, _ = call(monkeypatch, capsys)
    assert status in (0, 2)
    monkeypatch.setattr(sys, "argv", ["medkd", "--help"])
    with pytest.raises(SystemExit):
        main()
    shown = capsys.readouterr().out
    sections = {
        part.split(":")[0]: part.split(":", 1)[1]
        for part in shown.split("\n\n")
        if part.split(":")[0] in {job.value for job in CommandGroup}
    }
    assert list(sections) == [job.value for job in CommandGroup]
    assert "Commands:" not in shown
    listed = {line.split()[0] for part in sections.values() for line in part.splitlines() if line.startswith("  ") and line[2] != " "}
    assert listed == set(typer.main.get_command(app).commands)


def test_the_version_is_said(monkeypatch, capsys):
    assert call(monkeypatch, capsys, "--version")[:2] == (0, f"medkd {medkd.__version__}")


def test_shells_complete_commands_options_and_choices():
    def completed(words):
        done = subprocess.run(
            [sys.executable, "-m", "flows.cli"],
            env={**os.environ, "_MEDKD_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout.split()

    assert completed("medkd explain") == ["explain", "explain-model", "explain-study"]
    assert completed("medkd list ") == ["losses", "explainers", "measures", "networks"]
    assert "--time-budget" in completed("medkd explain-study --t")
    assert not {"catalogue", "extract"} & set(completed("medkd "))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_shown_for_a_shell(shell):
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli"],
        env={**os.environ, "_MEDKD_COMPLETE": f"source_{shell}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "_MEDKD_COMPLETE" in done.stdout
    assert "medkd" in done.stdout
