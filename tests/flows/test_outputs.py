"""Every command that has an output, and what a user may get wrong about it: nothing of theirs is ever changed, and one sentence says why."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import flows
from data_contracts import OutputError
from medkd.dicom.study_folder import claim_study, empty_store
from medkd.phantom.dicom_faults import write_case
from medkd.storage.output import MARKER, RUN, STORE, STUDY, claim, kind_of

RECIPES = Path(flows.__file__).parent / "recipes"
MODEL = "models:/nobody/1"


@dataclass(frozen=True)
class Command:
    """A command as it is called.

    Attributes:
        line: arguments for a source, an output and an empty registry.
        writes: name that it writes in its output.
        reads: whether it has a source that a user names.
    """

    line: Callable[[Path, Path, Path], list[object]]
    writes: str
    reads: bool = True


def of_recipe(*names: str) -> Callable[[Path, Path, Path], list[object]]:
    """Return a command line for a recipe whose data lie in the source."""

    def line(source: Path, out: Path, _: Path) -> list[object]:
        return [*names, RECIPES / "busbra.yaml", "--set", f"data.path={source}", "--out", out]

    return line


def of_registry(line: Callable[[Path, Path], list[object]]) -> Callable[[Path, Path, Path], list[object]]:
    return lambda source, out, registry: [*line(source, out), "--tracking-uri", f"sqlite:///{registry}"]


COMMANDS = {
    "ingest": Command(lambda source, out, _: ["ingest", source, "--out", out], "volumes"),
    "deidentify": Command(lambda source, out, _: ["deidentify", source, "--out", out], "patients"),
    "deidentify --quarantine-folder": Command(
        lambda source, out, _: ["deidentify", source, "--out", out.with_name("share"), "--quarantine-folder", out], "quarantine"
    ),
    "run-study": Command(of_registry(lambda source, out: ["run-study", source, "--model", MODEL, "--out", out]), "store"),
    "explain-study": Command(of_registry(lambda source, out: ["explain-study", source, "--model", MODEL, "--out", out]), "store"),
    "explain": Command(of_recipe("explain"), "store"),
    "evaluate-folder": Command(of_registry(lambda source, out: ["evaluate-folder", source, "--model", MODEL, "--out", out]), "store"),
    "evaluate": Command(of_recipe("evaluate"), "stages"),
    "run": Command(of_recipe("run"), "packages"),
    "extract-knowledge": Command(of_recipe("extract-knowledge"), "store"),
    "distill": Command(
        lambda source, out, registry: [
            *of_recipe("distill")(source, out, registry),
            "--knowledge",
            MODEL,
            "--tracking-uri",
            f"sqlite:///{registry}",
        ],
        "store",
    ),
    "experiment": Command(of_recipe("experiment"), "store"),
    "phantom": Command(lambda _, out, __: ["phantom", "--studies", "1", "--out", out], "study000", reads=False),
    "phantom --case": Command(lambda _, out, __: ["phantom", "--case", "regular", "--out", out], "regular", reads=False),
    "demo": Command(lambda _, out, __: ["demo", "--size", "smoke", "--engine", "none", "--out", out], "dicom", reads=False),
    "benchmark-explainers": Command(lambda _, out, __: ["benchmark-explainers", "--cases", "2", "--out", out], "store", reads=False),
}
READING = [name for name, command in COMMANDS.items() if command.reads]


@dataclass(frozen=True)
class User:
    """What a user has: DICOM of their own, a note beside it, and a registry in which there is nothing."""

    root: Path
    source: Path
    registry: Path

    def digest(self) -> str:
        """Return a digest of every name, kind and byte, and of who else holds a file."""
        lines = [
            f"{path.relative_to(self.root)} {path.is_dir()} {path.stat().st_nlink if path.is_file() else 0} "
            + (hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "")
            for path in sorted(self.root.rglob("*"))
        ]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@pytest.fixture
def user(tmp_path, monkeypatch) -> User:
    source = tmp_path / "theirs" / "source"
    write_case(source, "regular")
    (source / "cases.csv").write_text("ID,patient,label\na,b,c\n")
    (source / "half.dcm.partial").write_text("still arriving")
    (source.parent / "note.txt").write_text("mine")
    (tmp_path / "registry.db").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    return User(tmp_path, source, tmp_path / "registry.db")


def refused(here, user: User, command: str, source: Path, out: Path) -> str:
    """Return the one sentence with which a command refuses, once nothing at all has changed by it."""
    before = user.digest()
    status, _, errors = here(*COMMANDS[command].line(source, out, user.registry))
    assert user.digest() == before
    assert status == 2, errors
    assert "Traceback" not in errors
    assert len(errors.splitlines()) == 1, errors
    assert ": expected" in errors
    return errors.split(":")[0]


@pytest.mark.parametrize("command", READING)
def test_an_output_that_holds_the_source_is_refused(here, user, command):
    assert refused(here, user, command, user.source, user.source.parent) == "OUT_OVERLAPS"
    assert refused(here, user, command, user.source, user.source) == "OUT_OVERLAPS"


@pytest.mark.parametrize("command", READING)
def test_an_output_in_the_source_is_refused_however_it_is_named(here, user, command):
    assert refused(here, user, command, user.source, user.source / "out") == "OUT_OVERLAPS"
    assert refused(here, user, command, user.source, Path("theirs/../theirs/source/deep/er")) == "OUT_OVERLAPS"
    (user.root / "link").symlink_to(user.source)
    assert refused(here, user, command, user.source, user.root / "link" / "out") == "OUT_OVERLAPS"
    assert refused(here, user, command, user.root / "link", user.source.parent) == "OUT_OVERLAPS"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_of_the_user_that_has_a_name_which_we_write_is_left_alone(here, user, command):
    out = user.root / "out"
    for name in (COMMANDS[command].writes, "quarantine"):
        (out / name).mkdir(parents=True, exist_ok=True)
        (out / name / "scan.partial").write_text("mine")
        (out / name / "manifest.json").write_text("{}")
    assert refused(here, user, command, user.source, out) == "OUT_FOREIGN"


@pytest.mark.parametrize("command", READING)
def test_a_source_that_is_mistyped_costs_nothing(here, user, command):
    (user.root / "out" / "store").mkdir(parents=True)
    (user.root / "out" / "store" / "mine").write_text("mine")
    assert refused(here, user, command, user.source.with_name("sorce"), user.root / "out") == "SOURCE_MISSING"
    assert refused(here, user, command, user.source.with_name("sorce"), user.root / "new") == "SOURCE_MISSING"


@pytest.mark.parametrize("command", COMMANDS)
def test_an_output_that_is_a_file_is_one_sentence(here, user, command):
    assert refused(here, user, command, user.source, user.root / "theirs" / "note.txt") == "OUT_NO_FOLDER"


@pytest.mark.parametrize("command", COMMANDS)
def test_an_output_that_cannot_be_written_to_is_one_sentence(here, user, command):
    assert refused(here, user, command, user.source, user.root / "theirs" / "note.txt" / "out") == "OUT_UNWRITABLE"
    if command != "deidentify --quarantine-folder":  # its other output, which can be written to, is made
        assert refused(here, user, command, user.source, Path("/proc/medkd/out")) == "OUT_UNWRITABLE"


@pytest.mark.parametrize("command", ["run-study", "explain-study"])
def test_a_store_of_the_user_in_a_folder_of_studies_is_not_emptied(here, user, command):
    claim(user.root / "out", STUDY)
    status, _, errors = here("ingest", user.source, "--out", user.root / "out" / "store")
    assert status == 0, errors
    assert refused(here, user, command, user.source, user.root / "out") == "OUT_FOREIGN"


@pytest.mark.parametrize("command", ["ingest", "deidentify", "run-study", "explain-study"])
def test_what_we_made_of_a_source_is_no_source(here, user, command):
    store = user.root / "made" / "store"
    assert here("ingest", user.source, "--out", store)[0] == 0
    for source in (store, store.parent, store / "quarantine"):
        assert refused(here, user, command, source, user.root / "out") == "SOURCE_IS_STORE"
    (store / MARKER).unlink()  # a store of an earlier version is known by its manifest
    assert refused(here, user, command, store.parent, user.root / "out") == "SOURCE_IS_STORE"


def test_ingestion_leaves_partial_files_of_the_user_where_they_are_and_removes_its_own(here, user):
    out = user.root / "store"
    assert here("ingest", user.source, "--out", out)[0] == 0
    (out / "volumes" / "scan.partial").write_text("mine")
    (out / "volumes" / ".s.safetensors.1.medkd-partial").write_text("ours")
    assert here("ingest", user.source, "--out", out)[0] == 0
    assert (out / "volumes" / "scan.partial").read_text() == "mine"
    assert not (out / "volumes" / ".s.safetensors.1.medkd-partial").exists()


def test_what_is_quarantined_is_a_copy(here, user):
    broken = user.source / "broken.dcm"
    broken.write_bytes(next(user.source.glob("IM*.dcm")).read_bytes()[:700])
    assert here("ingest", user.source, "--out", user.root / "store")[0] == 0
    kept = [path for path in (user.root / "store" / "quarantine").glob("*/file") if path.read_bytes() == broken.read_bytes()]
    assert len(kept) == 1
    assert (kept[0].stat().st_nlink, broken.stat().st_nlink) == (1, 1)


def test_outputs_of_ours_are_gone_on_with(here, user):
    for name in ("ingest", "deidentify", "phantom", "phantom --case"):
        out = user.root / name.replace(" ", "")
        for _ in range(2):
            status, _, errors = here(*COMMANDS[name].line(user.source, out, user.registry))
            assert status == 0, errors


def test_outputs_from_before_there_were_markers_are_gone_on_with(here, user):
    for name in ("ingest", "deidentify", "phantom"):
        out = user.root / name
        for _ in range(2):
            status, _, errors = here(*COMMANDS[name].line(user.source, out, user.registry))
            assert status == 0, errors
            for marker in user.root.rglob(MARKER):
                marker.unlink()
    run = user.root / "run"
    (run / "stages").mkdir(parents=True)
    (run / "stages" / "begun.log").write_text("prepare_cohorts-1\n")
    claim(run, RUN)
    assert kind_of(run) == RUN


def test_a_study_is_repeated_into_its_own_folder_also_one_from_before_there_were_markers(here, user):
    out, golden = user.root / "report", Path(__file__).parents[1] / "contracts" / "golden"
    assert here("ingest", user.source, "--out", out / "store")[0] == 0
    (out / "store" / MARKER).unlink()
    shutil.copy(golden / "review_1.json", out / "report.json")
    (out / "store" / "volumes" / "mine.txt").write_text("mine")
    for _ in range(2):
        store = empty_store(claim_study(user.source, out))
        assert [path.name for path in store.rglob("*") if path.is_file() and not path.name.startswith(".")] == ["mine.txt"]


def test_only_the_store_of_a_study_is_emptied(user):
    store = claim(user.root / "store", STORE)
    (store / "manifest.json").write_text("{}")
    with pytest.raises(OutputError, match="is a store; name another folder"):
        empty_store(store)
    assert (store / "manifest.json").is_file()


@pytest.mark.parametrize(("files", "words"), [((), "is empty"), (("letter.txt", "list.csv"), "none of the 2 files")])
def test_a_folder_without_an_image_says_so(here, user, files, words):
    folder = user.root / "bare"
    folder.mkdir()
    for name in files:
        (folder / name).write_text("words")
    status, text, _ = here("ingest", folder, "--out", user.root / "store")
    assert status == 0
    assert words in text
    status, text, _ = here("ingest", folder, "--out", user.root / "store", "--json")
    assert json.loads(text.splitlines()[-1])["ingest"]["accepted"] == 0


def test_reports_of_a_store_are_refused_a_place_that_is_not_theirs(here, user):
    (user.root / "run").mkdir()
    (user.root / "run" / "mlflow.db").write_bytes(b"")
    (user.root / "foreign").mkdir()
    (user.root / "foreign" / "index.html").write_text("mine")
    before = user.digest()
    for source, out, code in (
        (user.source, user.source / "out", "OUT_OVERLAPS"),
        (user.source, user.source.parent, "OUT_OVERLAPS"),
        (user.source, user.root / "foreign", "OUT_FOREIGN"),
        (user.source, user.root / "theirs" / "note.txt", "OUT_NO_FOLDER"),
        (user.source.with_name("sorce"), user.root / "new", "SOURCE_MISSING"),
    ):
        status, _, errors = here("report-store", source, "--run", user.root / "run", "--out", out)
        assert (status, errors.split(":")[0], len(errors.splitlines())) == (2, code, 1)
        assert user.digest() == before
