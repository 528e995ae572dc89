"""A version arrives in another registry with everything it descends from and what stood beside it."""

from __future__ import annotations

import shutil

import pytest

from data_contracts import NetworkSpec, Task
from medkd.registry.export_version import export_version
from medkd.registry.import_version import import_versions
from tests.registered import register_tiny
from tests.registry.registered_versions import open_in, register_lineage


@pytest.fixture(scope="module")
def origin(tmp_path_factory, empty_database):
    """Return the registry that versions come from, which no import changes: one for all tests."""
    folder = tmp_path_factory.mktemp("import") / "origin"
    return register_lineage(open_in(folder, empty_database), folder)


@pytest.fixture(scope="module")
def exported(origin, tmp_path_factory):
    path = tmp_path_factory.mktemp("file") / "kd.zip"
    export_version(origin.registry, origin.student.uri, path)
    return path


def test_a_version_arrives_with_its_lineage_under_new_numbers(origin, exported, site):
    teacher, knowledge, student = import_versions(site, exported)
    assert [one.model.uri for one in (teacher, knowledge, student)] == ["models:/r-teacher/2", "models:/r-knowledge/1", "models:/r-kd/2"]
    assert student.model.teacher == knowledge.model.teacher == teacher.model.lineage
    assert student.model.manifest_digest == origin.student.manifest_digest
    tags = site.contents(student.model.uri).tags
    assert tags["medkd.imported"] == str(origin.student.lineage)
    assert tags["medkd.imported.teacher"] == str(origin.teacher.lineage)
    assert tags["medkd.knowledge_version"] == str(knowledge.model.lineage)


def test_text_figures_curves_and_what_stood_beside_arrive_unchanged(origin, exported, site):
    arrived, left = (
        registry.contents(uri)
        for registry, uri in ((site, import_versions(site, exported)[-1].model.uri), (origin.registry, origin.student.uri))
    )
    assert (arrived.description, arrived.params, arrived.metrics, arrived.history) == (
        left.description,
        left.params,
        left.metrics,
        left.history,
    )
    assert arrived.history[1] == {"epoch": 2.0, "loss": 0.1 + 0.2}
    assert arrived.attached == left.attached
    assert len(arrived.attached) == 4
    assert {key: value for key, value in arrived.tags.items() if "report" in key or "expl" in key} == {
        "medkd.explanation.0123456789ab": "1 findings, 2 maps", "medkd.failed_explainers": "none", "medkd.report.fedcba987654": "explanation 0123456789ab"
    }  # fmt: skip


def test_importing_twice_registers_once(exported, site):
    first, second = import_versions(site, exported), import_versions(site, exported)
    assert [one.model for one in first] == [one.model for one in second]
    assert [one.existed for one in (*first, *second)] == [False] * 3 + [True] * 3


def test_importing_where_it_came_from_changes_nothing(origin, exported):
    before = origin.registry.contents(origin.student.uri)
    assert all(one.existed for one in import_versions(origin.registry, exported))
    assert origin.registry.contents(origin.student.uri) == before


def test_an_imported_version_answers_as_its_original(tmp_path, empty_database, monkeypatch):
    import mlflow
    import numpy as np

    for name in ("first", "second"):
        open_in(tmp_path / name, empty_database)
    uri = register_tiny(
        tmp_path / "first", Task(kind="classification", classes=("a", "b"), image_size=(16, 16)), NetworkSpec(builder="resnet")
    )
    export_version(open_in(tmp_path / "first", empty_database), uri, tmp_path / "tiny.zip")
    import_versions(open_in(tmp_path / "second", empty_database), tmp_path / "tiny.zip")
    shutil.move(tmp_path / "first", tmp_path / "gone")
    open_in(tmp_path / "gone", empty_database)
    before, answers = mlflow.get_tracking_uri(), []
    for name in ("gone", "second"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / name / 'mlflow.db'}")
        mlflow.set_tracking_uri(f"sqlite:///{tmp_path / name / 'mlflow.db'}")
        answers.append(mlflow.pyfunc.load_model(uri).predict({"image": np.ones((1, 1, 16, 16), np.float32)}))
    mlflow.set_tracking_uri(before)
    np.testing.assert_array_equal(answers[0]["logits"], answers[1]["logits"])
