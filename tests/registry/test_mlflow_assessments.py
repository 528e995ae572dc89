"""Assessments beside a version: shown once, by name and entry. How they come from a log is asked in tests/feedback/test_mirror.py."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from mlflow.tracing.client import TracingClient
from mlflow.tracking import MlflowClient

from data_contracts import NetworkSpec, RegistryError, Task
from medkd.registry.mlflow_assessments import MlflowAssessments
from medkd.registry.mlflow_registry import MlflowRegistry
from tests.registered import register_tiny


def test_what_was_said_is_shown_once_beside_the_model(tmp_path):
    uri = register_tiny(
        tmp_path,
        Task(kind="segmentation", classes=("background", "lesion"), image_size=(8, 8)),
        NetworkSpec(builder="unet", out_channels=2, options={"channels": (4, 8)}),
    )
    registry = MlflowRegistry(f"sqlite:///{tmp_path / 'mlflow.db'}", artifacts=tmp_path / "mlartifacts")
    model, shown = registry.contents(uri).model, MlflowAssessments(registry.uri)
    judged = SimpleNamespace(
        report="a" * 64, at="2026-01-02T03:04:05Z", reviewer="r1", entry="b" * 64, said={"decision": "accept", "useful": 4}
    )
    assert [shown.show(model, judged) for _ in range(2)] == [2, 0]
    assert shown.show(model, SimpleNamespace(**{**vars(judged), "entry": "c" * 64})) == 2
    experiments = [one.experiment_id for one in MlflowClient(registry.uri).search_experiments()]
    (trace,) = TracingClient(registry.uri).search_traces(locations=experiments, include_spans=False)
    assert trace.info.request_time == 1767323045000
    assert trace.info.trace_metadata["mlflow.modelId"].startswith("m-")
    assert sorted((one.name, one.value, one.source.source_type) for one in trace.info.assessments) == [
        ("decision", "accept", "HUMAN"), ("decision", "accept", "HUMAN"), ("useful", 4, "HUMAN"), ("useful", 4, "HUMAN"),
    ]  # fmt: skip


@pytest.mark.extended  # MLflow tries again for some seconds
def test_a_server_that_is_gone_is_one_sentence():
    shown = MlflowAssessments("http://127.0.0.1:9")
    model = SimpleNamespace(uri="models:/m/1", name="m", version=1)
    judged = SimpleNamespace(report="a" * 64, at="2026-01-02T03:04:05Z", reviewer="r1", entry="b" * 64, said={})
    with pytest.raises(RegistryError) as caught:
        shown.show(model, judged)
    assert caught.value.code == "REGISTRY_UNREACHABLE"
