"""``medkd audit`` as a user runs it: the planted mark is found, kept beside the version, and refuses its promotion."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from flows.audit import AuditRequest, audit
from medkd.audit.audit_model import AuditOptions
from medkd.cohorts.external_dataset import FolderHints
from medkd.promotion.version_records import read_version
from medkd.registry.publish import open_registry
from medkd.storage.output import MARKER
from medkd.storage.workspace import local_workspace
from tests.audit.conftest import SPEC, TASK, clinic, trained  # noqa: F401 - a fixture
from tests.flows.recording import recorded
from tests.registered import register_tiny


@pytest.fixture(scope="module")
def biased(tmp_path_factory):
    """Return the run and address of a registered network that learned a mark in the corner."""
    folder, learned = tmp_path_factory.mktemp("biased") / "run", trained(True)
    uri = register_tiny(folder, TASK, SPEC, name="biased", prepare=lambda network: network.load_state_dict(learned.state_dict()))
    return SimpleNamespace(folder=folder, uri=uri)


def test_a_planted_mark_is_found_and_kept_beside_the_version(here, biased, clinic, tmp_path):  # noqa: F811
    options = ("--artefact", "corner_mark", "--artefact", "noise", "--run", biased.folder, "--out", tmp_path / "o")
    status, said, errors = here("audit", biased.uri, "--data", clinic, *options, "--json")
    assert status == 0, errors
    report = json.loads(said.splitlines()[-1])
    assert {one["name"]: one["verdict"] for one in report["artefacts"]} == {"corner_mark": "follows", "noise": "silent"}
    assert {path.name for path in (tmp_path / "o").iterdir()} == {MARKER, "run.log", "audit.json", "audit.md", "audit.png"}
    assert "Doe" not in (tmp_path / "o" / "audit.json").read_text()
    records = read_version(open_registry(local_workspace(biased.folder)), biased.uri)
    assert records.audit is not None
    assert records.audit.model_dump(mode="json") == report


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--artefact", "calliper"), "ARTEFACT_UNKNOWN"),
        (("--column", "file=x"), "OPTION_VALUE"),
        (("--column", "id"), "OPTION_PAIR"),
        (("--column", "label=gone"), "TABLE_COLUMN"),
        (("--where", "device=Z"), "COHORT_EMPTY"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(here, biased, clinic, tmp_path, options, code):  # noqa: F811
    status, _, errors = here("audit", biased.uri, "--data", clinic, "--run", biased.folder, "--out", tmp_path / "o", *options)
    assert status == 2
    assert errors.splitlines()[-1].startswith(f"{code}: expected")


def test_the_flow_audits_and_then_attaches():
    with recorded(audit="report") as engine:
        request = AuditRequest("models:/x/1", Path("d"), FolderHints(), AuditOptions())
        assert audit(SimpleNamespace(), request) == "report"
    assert engine.titles() == ["audit", "register"]
    assert engine.calls("register")[0][1:] == ("models:/x/1", "report")
