"""`medkd lineage`, `medkd registry export` and `import`, `medkd gc`: what they say, and how they end."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.registry.conftest import empty_database
from tests.registry.registered_versions import open_in, publish, register_lineage

__all__ = ["empty_database"]
URI = "models:/r-kd/1"


@pytest.fixture(scope="module")
def template(tmp_path_factory, empty_database):
    folder = tmp_path_factory.mktemp("registered") / "run"
    registry = open_in(folder, empty_database)
    register_lineage(registry, folder)
    for number in range(2):
        publish(registry, folder, "old", content=str(number))
    return folder


@pytest.fixture
def run(template, tmp_path):
    shutil.copytree(template, tmp_path / "Läufe 1")
    return tmp_path / "Läufe 1"


def test_a_lineage_is_printed_and_drawn(here, run, tmp_path):
    status, said, errors = here("lineage", URI, "--run", run, "--svg", tmp_path / "lineage.svg")
    assert (status, errors) == (0, "")
    assert "student       r-kd/1" in said
    assert (tmp_path / "lineage.svg").read_text().startswith("<svg")


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_an_altered_file_is_named_after_the_whole_walk(here, run, options):
    (page,) = (run / "mlartifacts").rglob("report.html")
    page.write_text("another page")
    status, said, errors = here("lineage", URI, "--run", run, *options)
    assert status == 2
    assert errors.startswith("LINEAGE_ALTERED: ")
    assert "reports/fedcba987654/report.html" in errors
    if options:
        assert [node["state"] for node in json.loads(said)["nodes"]].count("altered") == 1
    else:
        assert "ALTERED" in said
        assert "none registered" in said


def test_a_version_goes_to_another_run(here, run, tmp_path):
    status, said, _ = here("registry", "export", URI, tmp_path / "kd.zip", "--run", run, "--json")
    assert status == 0
    assert json.loads(said)["versions"] == ["models:/r-teacher/1", "models:/r-knowledge/1", URI]
    said = here("registry", "export", URI, tmp_path / "alone.zip", "--run", run, "--without-teachers", "--json")[1]
    assert json.loads(said)["versions"] == [URI]
    for existed in (False, True):
        status, said, _ = here("registry", "import", tmp_path / "kd.zip", "--run", tmp_path / "other", "--json")
        assert status == 0
        assert [one["existed"] for one in json.loads(said)["versions"]] == [existed] * 3
    assert here("lineage", URI, "--run", tmp_path / "other")[0] == 0


def test_what_cannot_be_imported_or_exported_is_one_sentence(here, run, tmp_path):
    (tmp_path / "no.zip").write_text("no")
    for line, code in (
        (("registry", "import", tmp_path / "no.zip", "--run", run), "EXPORT_UNREADABLE"),
        (("registry", "import", tmp_path / "missing.zip", "--run", run), "SOURCE_MISSING"),
        (("registry", "export", URI, tmp_path / "no.zip", "--run", run), "OUT_EXISTS"),
        (("registry", "export", "models:/nobody/1", tmp_path / "kd.zip", "--run", run), "VERSION_UNKNOWN"),
        (("lineage", URI, "--run", tmp_path / "nowhere"), "REGISTRY_MISSING"),
    ):
        status, _, errors = here(*line)
        assert status == 2
        assert errors.startswith(f"{code}: "), errors


def test_what_would_go_is_said_first_and_goes_with_yes(here, run, tmp_path):
    (tmp_path / "policy.yaml").write_text("keep_days: 0\n")
    status, said, _ = here("gc", "--run", run, "--policy", tmp_path / "policy.yaml")
    assert status == 0
    goes, stays = said.split("STAYS")
    assert "old/1" in goes
    assert "old/2" in stays
    assert "nothing was changed" in said
    status, said, _ = here("gc", "--run", run, "--policy", tmp_path / "policy.yaml", "--yes", "--json")
    summary = json.loads(said)
    assert {one["name"] for one in summary["judged"] if not one["stays"]} >= {"old/1", "packages/old-0"}
    assert summary["removed"] == sum(not one["stays"] for one in summary["judged"])
    status, said, _ = here("gc", "--run", run, "--policy", tmp_path / "policy.yaml", "--yes", "--json")
    assert json.loads(said)["removed"] == 0


@pytest.mark.parametrize("policy", ["keep_days: -1\n", "keep: 3\n", "- 1\n", "a: [\n"])
def test_a_policy_that_is_none_is_refused(here, run, tmp_path, policy):
    (tmp_path / "policy.yaml").write_text(policy)
    status, _, errors = here("gc", "--run", run, "--policy", tmp_path / "policy.yaml")
    assert status == 2
    assert errors.startswith("POLICY_INVALID: ")
