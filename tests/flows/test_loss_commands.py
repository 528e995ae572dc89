"""`medkd loss`: the statement that lies in a student's version, as text and as JSON."""

from __future__ import annotations

import json

import pytest

from data_contracts import LossStatement, RegistryError, read_record
from flows.loss_text import loss_text
from medkd.registry import load_version, publish
from tests.flows.recording import GOLDEN


@pytest.fixture
def statement():
    return read_record((GOLDEN / "loss_statement_1.json").read_bytes(), LossStatement)


@pytest.fixture
def asked(monkeypatch, statement):
    """Let the registry hold a statement for one version; return what was opened and asked for."""
    found = []

    def load(registry, uri):
        found.append((registry, uri))
        if uri != "models:/r-kd/1":
            raise RegistryError("NO_LOSS_STATEMENT", f"expected a statement in {uri}, it has none")
        return statement

    monkeypatch.setattr(publish, "open_registry", lambda workspace: workspace.tracking_uri)
    monkeypatch.setattr(load_version, "load_loss_statement", load)
    monkeypatch.setattr("flows.commands.options.registry_uri", lambda run, uri: uri or f"of {run}")
    return found


def test_it_is_said_as_text_and_whole_as_json(here, asked, statement, tmp_path):
    status, text, errors = here("loss", "models:/r-kd/1", "--run", tmp_path)
    assert (status, text.rstrip("\n"), errors) == (0, loss_text(statement).rstrip("\n"), "")
    status, text, _ = here("loss", "models:/r-kd/1", "--run", tmp_path, "--json")
    assert (status, json.loads(text.splitlines()[-1])) == (0, statement.model_dump(mode="json"))
    assert asked == [(f"of {tmp_path}", "models:/r-kd/1")] * 2


def test_a_version_without_one_is_one_sentence(here, asked, tmp_path):
    status, text, errors = here("loss", "models:/r-teacher/1", "--run", tmp_path, "--tracking-uri", "sqlite:///other.db")
    assert (status, text) == (2, "")
    assert errors == "NO_LOSS_STATEMENT: expected a statement in models:/r-teacher/1, it has none\n"
    assert asked == [("sqlite:///other.db", "models:/r-teacher/1")]
