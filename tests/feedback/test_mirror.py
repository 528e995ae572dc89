"""The mirror in MLflow: made from the log as often as wanted, seen by the lineage, and never what counts."""

from __future__ import annotations

import pytest
from mlflow.tracing.client import TracingClient
from mlflow.tracking import MlflowClient

from data_contracts import ControlCase, ModelRef, NetworkSpec, Task
from medkd.feedback.keep import Reviewer, keep_form
from medkd.feedback.mirror import mirror_feedback
from medkd.lineage.graph import NodeKind, NodeState
from medkd.lineage.walk import walk_lineage
from medkd.registry.mlflow_assessments import MlflowAssessments
from medkd.registry.mlflow_registry import MlflowRegistry
from tests.registered import register_tiny

TASK = Task(kind="segmentation", classes=("background", "lesion"), image_size=(8, 8))


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory):
    return tmp_path_factory.mktemp("run") / "mlartifacts"


@pytest.fixture(scope="module")
def registry(artefacts):
    """Return a registry with one model, and that model."""
    folder = artefacts.parent
    uri = register_tiny(folder, TASK, NetworkSpec(builder="unet", out_channels=2, options={"channels": (4, 8)}))
    opened = MlflowRegistry(f"sqlite:///{folder / 'mlflow.db'}", artifacts=folder / "mlartifacts")
    return opened, opened.contents(uri).model


@pytest.fixture
def of_model(report, registry):
    """Return the report with explanations by the registered model."""
    explanations = tuple(one.model_copy(update={"model": registry[1]}) for one in report.explanations)
    return report.model_copy(update={"explanations": explanations})


def test_a_judgement_stands_beside_the_model_byte_for_byte_and_once(log, of_model, registry, make_form, reader):
    opened, model = registry
    reports = {of_model.digest(): of_model}
    entry = keep_form(log, of_model, make_form(1, report=of_model.digest()), reader, offline=True)
    found = mirror_feedback(log.entries(), reports, opened)
    assert (found.attached, found.there) == (1, 0)
    place = f"feedback/{entry.digest()[:16]}.json"
    assert opened.fetch_attached(model.uri, place).read_bytes() == entry.canonical_json()
    assert opened.tags(model)[f"medkd.feedback.{entry.index}"] == entry.digest()
    again = mirror_feedback(log.entries(), reports, opened)
    assert (again.attached, again.there) == (0, 1)
    (node,) = [node for node in walk_lineage(opened, model.uri, None).nodes if node.kind is NodeKind.FEEDBACK]
    assert (node.name, node.state, node.digest) == (entry.digest()[:16], NodeState.VERIFIED, entry.digest())


def test_what_was_said_is_shown_as_assessments_once(log, of_model, registry, make_form, reader):
    opened, _ = registry
    shown = MlflowAssessments(opened.uri)
    first = keep_form(log, of_model, make_form(1, report=of_model.digest(), comment="The map lies on the rib."), reader, offline=True)
    reports = {of_model.digest(): of_model}
    assert mirror_feedback(log.entries(), reports, opened, shown.show).assessments == 11
    keep_form(log, of_model, make_form(2, report=of_model.digest(), decision="reject", supersedes=first.digest()), reader)
    assert mirror_feedback(log.entries(), reports, opened, shown.show).assessments == 11
    assert mirror_feedback(log.entries(), reports, opened, shown.show).assessments == 0
    (trace,) = TracingClient(opened.uri).search_traces(
        locations=[one.experiment_id for one in MlflowClient(opened.uri).search_experiments()],
        filter_string=f"tags.`medkd.report` = '{of_model.digest()}'",
        include_spans=False,
    )
    said = [(one.name, one.value, one.source.source_id, one.metadata["medkd.entry"]) for one in trace.info.assessments]
    assert ("decision", "accept", reader.key, first.digest()) in said
    assert ("lesion-1 prediction", "agree", reader.key, first.digest()) in said
    assert ("useful", 4, reader.key, first.digest()) in said
    assert "rib" not in str(trace.info)


def test_what_was_altered_in_the_mirror_is_made_anew(log, of_model, registry, artefacts, make_form, reader, tmp_path):
    opened, model = registry
    entry = keep_form(log, of_model, make_form(1, report=of_model.digest(), comment="another"), reader, offline=True)
    mirror_feedback(log.entries(), {of_model.digest(): of_model}, opened)
    place = f"feedback/{entry.digest()[:16]}.json"
    forged = tmp_path / f"{entry.digest()[:16]}.json"
    forged.write_text("{}")
    opened.attach(model, {"feedback": forged}, {})
    assert mirror_feedback(log.entries(), {of_model.digest(): of_model}, opened).attached == 1
    assert opened.fetch_attached(model.uri, place).read_bytes() == entry.canonical_json()
    # Also where it was not altered through the registry, whose digests then still say what was attached.
    (kept,) = [path for path in artefacts.rglob(forged.name) if path.parent.name == "feedback"]
    kept.write_text("{}")
    assert mirror_feedback(log.entries(), {of_model.digest(): of_model}, opened).attached == 1
    assert kept.read_bytes() == entry.canonical_json()


def test_what_says_nothing_of_a_registered_model_is_left_out_and_said(log, report, of_model, registry, make_form):
    opened, model = registry
    log.append(
        ControlCase(report=of_model.digest(), genuine="a" * 64, study_key=of_model.volume.study_key, kind="mirrored", reviewer_key="r1")
    )
    keep_form(log, of_model, make_form(1, report=of_model.digest()), Reviewer("r1", "radiologist"), offline=True)
    keep_form(log, report, make_form(2), Reviewer("r2", "radiologist"), offline=True)
    other = ModelRef.model_validate({**model.model_dump(), "manifest_digest": "b" * 64})
    altered = report.model_copy(update={"explanations": tuple(one.model_copy(update={"model": other}) for one in report.explanations)})
    keep_form(log, altered, make_form(3, report=altered.digest()), Reviewer("r3", "radiologist"), offline=True)
    before = opened.tags(model)
    found = mirror_feedback(log.entries(), {one.digest(): one for one in (of_model, altered)}, opened)
    assert (found.attached, found.there, found.controls) == (0, 0, 1)
    assert found.unknown_reports == (report.digest()[:12],)
    assert found.unknown_models == (f"{other.name}/{other.version}",)
    found = mirror_feedback(log.entries(), {report.digest(): report}, opened)
    assert found.unknown_models == (f"{report.explanations[0].model.name}/{report.explanations[0].model.version}",)
    assert opened.tags(model) == before
