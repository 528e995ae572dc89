"""A version with its lineage as one file: the same bytes each time, and none that was altered."""

from __future__ import annotations

import pytest

from data_contracts import NetworkSpec, OutputError, RegistryError, Task
from medkd.registry.descent import resolve_teacher
from medkd.registry.export_version import SERVING_TAG, export_version
from medkd.registry.import_version import import_versions
from medkd.registry.mlflow_registry import MlflowRegistry
from tests.registered import register_tiny
from tests.registry.registered_versions import publish


def test_an_export_has_the_same_bytes_each_time_and_replaces_nothing(origin, exported, tmp_path):
    export_version(origin.registry, origin.student.uri, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == exported.read_bytes()
    with pytest.raises(OutputError) as caught:
        export_version(origin.registry, origin.student.uri, exported)
    assert caught.value.code == "OUT_EXISTS"


def test_an_altered_attachment_is_not_exported(origin, tmp_path):
    (page,) = (tmp_path / "origin" / "mlartifacts").rglob("report.html")
    page.write_text("report.htmL")
    with pytest.raises(RegistryError, match=r"reports/fedcba987654/report\.html") as caught:
        export_version(origin.registry, origin.student.uri, tmp_path / "altered.zip")
    assert caught.value.code == "VERSION_ALTERED"
    assert not (tmp_path / "altered.zip").exists()


def test_a_slim_export_has_the_versions_and_nothing_beside_them(origin, site, tmp_path):
    index = export_version(origin.registry, origin.student.uri, tmp_path / "slim.zip", slim=True)
    assert [version.model.name for version in index.versions] == ["r-teacher", "r-kd"]
    assert {name.split("/")[2] for name in index.files} == {"package"}
    student = import_versions(site, tmp_path / "slim.zip")[-1].model
    assert student.manifest_digest == origin.student.manifest_digest
    contents = site.contents(student.uri)
    assert contents.attached == {}
    assert not [tag for tag in contents.tags if tag.startswith(("medkd.explanation", "medkd.report"))]
    assert contents.tags["medkd.failed_explainers"] == "none"
    assert contents.metrics == origin.registry.contents(origin.student.uri).metrics


def test_a_version_that_goes_alone_knows_its_teacher_where_that_came_by_another_way(origin, exported, site, tmp_path):
    index = export_version(origin.registry, origin.student.uri, tmp_path / "alone.zip", slim=True, teachers=False)
    assert [version.model.name for version in index.versions] == ["r-kd"]
    (student,) = (one.model for one in import_versions(site, tmp_path / "alone.zip"))
    assert resolve_teacher(site, student) is None
    teacher, *_, same = (one.model for one in import_versions(site, exported))
    assert same == student
    assert resolve_teacher(site, student) == teacher


@pytest.mark.extended
def test_a_slim_export_serves_the_version_that_was_asked_for_and_not_its_teacher(tmp_path, empty_database):
    task = Task(kind="classification", classes=("a", "b"), image_size=(16, 16))
    uri = register_tiny(tmp_path / "run", task, NetworkSpec(builder="resnet"))
    registry = MlflowRegistry(f"sqlite:///{tmp_path / 'run' / 'mlflow.db'}", artifacts=tmp_path / "run" / "mlartifacts")
    student = publish(registry, tmp_path / "run", "r-kd", teacher=registry.fetch(uri)[0])
    index = export_version(registry, student.uri, tmp_path / "student.zip", slim=True)
    assert (SERVING_TAG in index.versions[0].tags, [name for name in index.versions[0].metrics if "parity" in name]) == (False, [])
    assert SERVING_TAG in export_version(registry, student.uri, tmp_path / "whole.zip").versions[0].tags
    assert SERVING_TAG in export_version(registry, uri, tmp_path / "teacher.zip", slim=True).versions[0].tags
