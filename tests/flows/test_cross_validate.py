"""``medkd cross-validate`` as a user runs it, small: every patient is answered for once, and the ensemble sees none of its own."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from data_contracts import CrossValidation, EnsembleScore, load_record
from flows.cross_validate import FoldPlan, cross_validate
from tests.audit.conftest import clinic  # noqa: F401 - a fixture
from tests.flows.recording import GOLDEN, golden_recipe, recorded

RECIPE = """
name: folds
task: {kind: classification, classes: [benign, malignant], image_size: [48, 48], window: [0, 255]}
data: {kind: image_folder, path: clinic, id_column: id, part_column: part, inner_validation: 0.2}
seeds: [0]
teacher:
  network: {builder: resnet, options: {channels: [4, 4, 4, 4]}}
  fit: {epochs: 1, batch_size: 8}
  terms: [{loss: cross_entropy}]
  gate: {enforce: false}
student:
  network: {builder: resnet, options: {channels: [4, 4, 4, 4]}}
  fit: {epochs: 1, batch_size: 8}
arms: {kd: {terms: [{loss: logit_kd}]}}
explain: {explainers: [{name: cam}], measures: [{name: pointing_game}], cases: 2}
"""


@pytest.fixture
def written(clinic, tmp_path, monkeypatch):  # noqa: F811
    lines = (clinic / "cases.csv").read_text().splitlines()
    root = tmp_path / "data" / "clinic"
    root.mkdir(parents=True)
    for name in ("images", "masks"):
        (root / name).symlink_to(clinic / name)
    (root / "cases.csv").write_text(
        "\n".join([f"{lines[0]},part", *(f"{line},{'val' if number < 8 else 'train'}" for number, line in enumerate(lines[1:]))])
    )
    monkeypatch.setenv("MEDKD_DATA", str(tmp_path / "data"))
    (tmp_path / "r.yaml").write_text(RECIPE)
    return tmp_path / "r.yaml"


def test_folds_are_pooled_and_the_ensemble_is_asked_about_held_out_patients(here, written, clinic, tmp_path, monkeypatch):  # noqa: F811
    for name in ("images", "masks"):
        link = tmp_path / "data" / "clinic" / name
        link.unlink()
        link.mkdir()
        for path in (clinic / name).iterdir():
            (link / path.name).write_bytes(path.read_bytes())
    status, said, errors = here("cross-validate", written, "--folds", 2, "--hold-out", "--out", tmp_path / "run", "--json")
    assert status == 0, errors
    found = json.loads(said.splitlines()[-1])
    assert [one["n"] for one in found["folds"]] == [6, 6]
    assert set(found["arms"]) == {"teacher", "kd"}
    assert found["arms"]["kd"]["figures"]["auc"]["n"] == 12
    assert (found["ensemble"]["n"], len(found["ensemble"]["teachers"])) == (4, 2)
    assert load_record(tmp_path / "run" / "cross_validation.json", CrossValidation).model_dump(mode="json") == found
    assert (tmp_path / "run" / "cross_validation.md").read_text().startswith("# Cross-validation of folds")


def test_too_many_folds_are_refused_in_one_sentence(here, written, tmp_path):
    status, _, errors = here("cross-validate", written, "--folds", 1, "--out", tmp_path / "run")
    assert status == 2
    assert "2" in errors


@pytest.mark.parametrize("hold_out", [False, True])
def test_the_flow_asks_the_teachers_together_only_where_patients_were_held_out(tmp_path, monkeypatch, hold_out):
    ensemble = load_record(GOLDEN / "ensemble_score_1.json", EnsembleScore)
    pooled = []
    monkeypatch.setattr("flows.cross_validate.learn", lambda *_, **__: tuple(SimpleNamespace(teacher=name, cohorts=name) for name in "ab"))
    monkeypatch.setattr("flows.cross_validate.prepare", lambda *_: (SimpleNamespace(cohorts="held"),))
    monkeypatch.setattr(
        "flows.cross_validate.pool_folds",
        lambda *given: pooled.append(given[2]) or load_record(GOLDEN / "cross_validation_1.json", CrossValidation),
    )
    with recorded(ensemble=ensemble) as engine:
        cross_validate(SimpleNamespace(root=tmp_path), FoldPlan(golden_recipe("r"), (), hold_out))
    assert pooled == [ensemble if hold_out else None]
    assert engine.titles() == (["ensemble"] if hold_out else [])
    if hold_out:
        assert engine.calls("ensemble")[0][1:] == ("held", ("a", "b"), ("a", "b"))
