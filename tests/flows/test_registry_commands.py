"""`medkd promote`, `rollback`, `registry aliases` and `registry show`, on the registry of a run."""

from __future__ import annotations

import json

import pytest

from data_contracts import NetworkSpec
from tests.flows.conftest import PICTURES
from tests.registered import register_tiny

pytestmark = pytest.mark.xdist_group("tiny")
URI = "models:/tiny-teacher@champion"


def test_an_alias_that_is_not_there_is_said_with_the_versions_that_are(here, tiny_run, tmp_path):
    status, _, errors = here("registry", "show", "models:/tiny-teacher@candidate", "--run", tiny_run)
    assert (status, "VERSION_UNKNOWN" in errors, "has the versions 1" in errors) == (2, True, True)


def test_a_version_is_shown(here, tiny_run):
    status, text, errors = here("registry", "show", URI, "--run", tiny_run, "--json")
    assert status == 0, errors
    shown = json.loads(text.splitlines()[-1])
    assert (shown["model"], shown["aliases"], shown["serving_form"]) == ("models:/tiny-teacher/1", ["champion"], True)
    assert shown["parity"]["parity_logits"] < 1e-4
    status, text, _ = here("registry", "show", URI, "--run", tiny_run)
    assert status == 0
    assert "classification into benign, malignant" in text


def test_a_candidate_is_promoted_with_its_verdict_and_a_champion_refused(here, tiny_run, tmp_path):
    name = register_tiny(tiny_run, PICTURES, NetworkSpec(builder="resnet", options={"channels": (2, 2, 2, 4)}), name="other")
    status, text, errors = here("promote", name, "--run", tiny_run, "--json")
    assert status == 0, errors
    done = json.loads(text.splitlines()[-1])
    assert (done["alias"], done["changed"], done["verdict"]["passed"]) == ("candidate", True, False)
    cost = [check["outcome"] for check in done["verdict"]["checks"] if check["theme"] == "cost"]
    assert cost == ["holds"] * 3
    status, _, errors = here("promote", name, "--to", "champion", "--run", tiny_run, "--signed-by", "A", "--role", "B", "--statement", "C")
    assert (status, errors.startswith("PROMOTION_REFUSED: expected a version that passes")) == (2, True)
    status, text, _ = here("registry", "aliases", "other-teacher", "--run", tiny_run)
    assert (status, text.strip()) == (0, "candidate  models:/other-teacher/1")
    status, _, errors = here("rollback", "other-teacher", "--run", tiny_run)
    assert (status, errors.split(":")[0]) == (2, "NOTHING_TO_ROLL_BACK")
    status, _, errors = here("promote", name, "--run", tiny_run, "--signed-by", "A")
    assert (status, "--role and --statement is missing" in errors) == (2, True)
    (tmp_path / "p.yaml").write_text("name: site\ntaks: {}\n")
    status, _, errors = here("promote", name, "--run", tiny_run, "--policy", tmp_path / "p.yaml")
    assert (status, "did you mean 'task'" in errors) == (2, True)


def test_versions_are_searched_and_an_unknown_field_is_one_sentence(here, tiny_run):
    status, text, errors = here("registry", "search", "name=tiny-teacher and alias=champion and role=teacher", "--run", tiny_run, "--json")
    assert status == 0, errors
    found = json.loads(text.splitlines()[-1])
    assert [one["model"] for one in found["found"]] == ["models:/tiny-teacher/1"]
    assert found["found"][0]["metrics"]["parity_logits"] < 1e-4
    status, text, _ = here("registry", "search", "metrics.parity_logits<0.001", "--run", tiny_run)
    assert (status, "parity_logits" in text.splitlines()[0], "tiny-teacher/1" in text) == (0, True, True)
    assert max(map(len, text.splitlines())) <= 100
    status, _, errors = here("registry", "search", "alas=champion", "--run", tiny_run)
    assert (status, errors.startswith("SEARCH_FIELD: expected a field"), "did you mean 'alias'" in errors) == (2, True, True)
    assert len(errors.strip().splitlines()) == 1


def test_a_patient_of_whom_nothing_is_kept_is_said_to_be_so(here, tiny_run):
    status, text, errors = here("registry", "forget-patient", "p-of-nobody", "--run", tiny_run)
    assert (status, text.strip()) == (0, "no version keeps features of p-of-nobody"), errors
    status, text, _ = here("registry", "forget-patient", "p-of-nobody", "--run", tiny_run, "--json")
    assert json.loads(text.splitlines()[-1]) == {"ok": True, "patient": "p-of-nobody", "left_out": {}}
