"""Versions are found by what the registry knows of them; the double and MLflow find the same."""

from __future__ import annotations

import shutil

import pytest

from data_contracts import RegistryError
from medkd.registry.search_models import FoundModels, as_json, search_models, value_of
from tests.registry.memory_registry import MemoryRegistry
from tests.registry.registered_versions import open_in, register_lineage


@pytest.fixture(scope="module", params=["memory", "mlflow"])
def registry(request, tmp_path_factory, empty_database):
    """Return a registry with a teacher, its knowledge and a student that stands out in what is searched."""
    folder = tmp_path_factory.mktemp(request.param)
    opened = MemoryRegistry() if request.param == "memory" else open_in(folder, empty_database)
    made = register_lineage(opened, folder)
    tags = {
        "medkd.arm": "kd",
        "medkd.failed_explainers": "cam,lime",
        "medkd.sanity.cam": "failed: randomisation",
        "medkd.sanity.ig": "passed",
    }
    opened.attach(
        made.student, {}, {**tags, "medkd.promotion.0123456789ab": "refused ffff", "medkd.promotion.0123456789ab.sign_off": "passed"}
    )
    opened.set_alias("r-kd", "candidate", 1)
    return opened


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["r-kd", "r-knowledge", "r-teacher"]),
        ("teacher=r-teacher and explanation.failed=cam", ["r-kd"]),
        ("teacher=r-teacher/1", ["r-kd", "r-knowledge"]),
        ("teacher=r-teacher/2", []),
        ("knowledge=r-knowledge and knowledge=r-knowledge/1", ["r-kd"]),
        ("alias=candidate", ["r-kd"]),
        ("alias!=candidate", ["r-knowledge", "r-teacher"]),
        ("metrics.auc>=0.75 and arm=kd", ["r-kd"]),
        ("metrics.auc>0.75", []),
        ("explanation.failed!=cam and role!=knowledge", ["r-teacher"]),
        ("explanation.passed=ig", ["r-kd"]),
        ("explanation.passed=cam", []),
        ("verdict=refused", ["r-kd"]),
        ("verdict=passed", []),
        ("recipe=r and role=knowledge", ["r-knowledge"]),
        ("recipe=r and arm=kd", ["r-kd"]),
        ("tags.use~RESEARCH and name~teach", ["r-teacher"]),
        ("tags.medkd.arm=kd", ["r-kd"]),
        ("seed=0 and version=1 and name=r-kd", ["r-kd"]),
    ],
)
def test_queries(registry, query, found):
    result = search_models(registry, query)
    assert [one.model.name for one in result.versions] == found
    assert result.searched == 3


@pytest.mark.parametrize(("query", "near"), [("metrics.auk>=0.1", "metrics.auc"), ("tags.am=kd", "tags.arm")])
def test_a_figure_or_a_tag_that_no_version_has_is_refused_with_the_nearest(registry, query, near):
    with pytest.raises(RegistryError) as caught:
        search_models(registry, query)
    assert caught.value.code == "SEARCH_FIELD"
    assert f"did you mean {near!r}" in str(caught.value)


def test_an_empty_registry_finds_nothing_and_refuses_nothing():
    assert search_models(MemoryRegistry(), "metrics.dice>=0.6 and tags.x=y") == FoundModels(
        search_models(MemoryRegistry(), "metrics.dice>=0.6 and tags.x=y").conditions, (), 0
    )


def test_what_is_found_is_said_whole(registry):
    (student,) = search_models(registry, "name=r-kd and metrics.auc=0.75").versions
    said = as_json(student)
    assert (said["model"], said["aliases"], said["failed_explainers"], said["metrics"]["auc"]) == (
        "models:/r-kd/1", ["candidate"], ["cam", "lime"], 0.75,
    )  # fmt: skip
    assert value_of(student, "metrics.dice") is None
    assert value_of(student, "digest") == (student.model.manifest_digest,)
    assert search_models(registry, f"registered>={said['registered'][:4]} and name=r-kd").versions == (student,)


def test_versions_of_others_are_left_out(tmp_path, empty_database):
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    registry = open_in(tmp_path, empty_database)
    registry._client.create_registered_model("foreign")
    registry._client.create_model_version("foreign", "runs:/x/model")
    assert search_models(registry) == FoundModels((), (), 0)
