"""The walk from the data to what readers said: everything hashed again, the altered file named, the rest shown all the same."""

from __future__ import annotations

import shutil

import pytest

from data_contracts import RegistryError, Role
from medkd.lineage.graph import NodeKind, NodeState
from medkd.lineage.walk import require_unaltered, walk_lineage
from tests.registry.registered_versions import open_in, publish, register_lineage


@pytest.fixture(scope="module")
def template(tmp_path_factory, empty_database):
    folder = tmp_path_factory.mktemp("lineage") / "run"
    register_lineage(open_in(folder, empty_database), folder)
    return folder


@pytest.fixture
def run(template, tmp_path):
    shutil.copytree(template, tmp_path / "run")
    return tmp_path / "run"


def walk(folder, uri="models:/r-kd/1"):
    registry = open_in(folder, folder / "mlflow.db")
    return walk_lineage(registry, uri, folder)


def states(graph):
    return {node.key: node.state.value for node in graph.nodes}


def test_everything_is_walked_and_verified(run):
    graph = walk(run)
    assert states(graph) == {
        "teacher:r-teacher/1": "verified",
        "knowledge:r-knowledge/1": "verified",
        "student:r-kd/1": "verified",
        "explanations:explanation-0123456789ab": "verified",
        "reports:fedcba987654": "verified",
        "feedback:none registered": "none",
    }
    parents = {node.key: node.parents for node in graph.nodes}
    assert parents["knowledge:r-knowledge/1"] == ("teacher:r-teacher/1",)
    assert parents["student:r-kd/1"] == ("teacher:r-teacher/1", "knowledge:r-knowledge/1")
    assert parents["explanations:explanation-0123456789ab"] == ("student:r-kd/1",)
    assert parents["reports:fedcba987654"] == ("explanations:explanation-0123456789ab",)
    assert parents["feedback:none registered"] == ("reports:fedcba987654",)
    require_unaltered(graph)


@pytest.mark.parametrize(
    ("pattern", "node", "named"),
    [
        ("report.html", "reports:fedcba987654", "reports/fedcba987654/report.html"),
        ("lesion-1-cam.png", "explanations:explanation-0123456789ab", "previews/0123456789ab/lesion-1-cam.png"),
        ("explanation-*.zip", "explanations:explanation-0123456789ab", "explanations/explanation-0123456789ab.zip"),
    ],
)
@pytest.mark.parametrize("gone", [False, True])
def test_one_byte_that_differs_is_named_and_the_rest_is_walked(run, pattern, node, named, gone):
    (path,) = (run / "mlartifacts").rglob(pattern)
    if gone:
        path.unlink()
    else:
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
    graph = walk(run)
    assert {key for key, state in states(graph).items() if state == "altered"} == {node}
    assert len(graph.nodes) == 6
    with pytest.raises(RegistryError, match=named) as caught:
        require_unaltered(graph)
    assert caught.value.code == "LINEAGE_ALTERED"


@pytest.mark.parametrize("name", ["r-teacher", "r-knowledge", "r-kd"])
def test_an_altered_version_anywhere_above_is_named(run, name):
    (path,) = (one for one in (run / "mlartifacts").rglob("card.json") if one.read_text() == f"{name} ")
    path.write_text(f"{name}_")
    graph = walk(run)
    assert [node.name for node in graph.altered] == [f"{name}/1"]
    assert f"models:/{name}/1" in graph.altered[0].note
    assert "card.json" in graph.altered[0].note


def test_a_teacher_that_is_not_registered_here_is_said(run):
    registry = open_in(run, run / "mlflow.db")
    absent = registry.versions("r-teacher")[0].model_copy(update={"manifest_digest": "9" * 64})
    student = publish(registry, run, "of-another", teacher=absent)
    (node,) = (one for one in walk(run, student.uri).nodes if one.kind is NodeKind.TEACHER)
    assert (node.state, node.note) == (NodeState.UNREACHABLE, "not registered here")


def test_a_version_that_would_be_its_own_teacher_is_refused(run):
    registry = open_in(run, run / "mlflow.db")
    teacher, student = registry.versions("r-teacher")[0], registry.versions("r-kd")[0]
    registry.attach(teacher, {}, {"medkd.teacher": str(student.lineage)})
    with pytest.raises(RegistryError) as caught:
        walk(run)
    assert caught.value.code == "LINEAGE_CIRCULAR"


def test_feedback_that_was_attached_is_walked(run):
    registry = open_in(run, run / "mlflow.db")
    (run / "line.json").write_text("{}")
    registry.attach(registry.versions("r-kd")[0], {"feedback": run / "line.json"}, {})
    (node,) = (one for one in walk(run).nodes if one.kind is NodeKind.FEEDBACK)
    assert (node.name, node.state, node.parents) == ("line", NodeState.VERIFIED, ("reports:fedcba987654",))
    assert registry.versions("r-kd")[0].role is Role.STUDENT


def test_a_student_has_an_edge_to_the_knowledge_that_it_names_and_to_no_other(run):
    registry = open_in(run, run / "mlflow.db")
    teacher, knowledge = registry.versions("r-teacher")[0], registry.versions("r-knowledge")[0]
    other = publish(registry, run, "r-knowledge", role=Role.KNOWLEDGE, teacher=teacher, content="other")
    live = publish(registry, run, "r-live", teacher=teacher)
    registry.attach(live, {}, {"medkd.knowledge_version": "none"})
    gone = publish(registry, run, "r-gone", teacher=teacher)
    registry.attach(gone, {}, {"medkd.knowledge_version": f"elsewhere/3@{'e' * 64}"})
    of_student, of_live, of_gone = (states(walk(run, f"models:/{name}/1")) for name in ("r-kd", "r-live", "r-gone"))
    assert f"knowledge:r-knowledge/{knowledge.version}" in of_student
    assert f"knowledge:r-knowledge/{other.version}" not in of_student
    assert not [key for key in of_live if key.startswith("knowledge")]
    assert of_gone["knowledge:elsewhere/3"] == "not reachable"
