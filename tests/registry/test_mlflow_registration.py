"""Runs, metrics and tags of what is registered, absolute artefact locations, no stray folders."""

from __future__ import annotations

import os

import pytest

from tests.registry.publications import publication_without_weights


def test_a_run_holds_parameters_metrics_per_epoch_and_lineage_tags(parts):
    registry, client, folder = parts
    registry.register(publication_without_weights(folder))
    version = client.get_model_version("net", "1")
    run = client.get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["recipe"] == "r"
    assert run.data.metrics["auc"] == 0.75
    assert [(m.step, m.value) for m in client.get_metric_history(version.run_id, "loss")] == [(1, 2.0), (2, 1.0)]
    assert version.tags["medkd.cohort_digest"] == "c"
    assert version.tags["medkd.role"] == "teacher"
    assert len(version.tags["medkd.manifest_digest"]) == 64


def test_artefacts_lie_where_they_were_asked_to_and_nowhere_else(parts):
    registry, client, folder = parts
    registry.register(publication_without_weights(folder))
    run = client.get_run(client.get_model_version("net", "1").run_id)
    assert run.info.artifact_uri.startswith((folder / "artifacts").as_uri())
    assert (folder / "artifacts").is_dir()
    assert os.listdir(folder / "cwd") == []


def test_a_version_that_was_not_registered_by_us_is_refused(parts):
    from data_contracts import RegistryError

    registry, client, _ = parts
    client.create_registered_model("foreign")
    run = client.create_run(client.create_experiment("others"))
    client.log_text(run.info.run_id, "x", "model/manifest.json")
    client.create_model_version("foreign", source=f"{run.info.artifact_uri}/model", run_id=run.info.run_id)
    with pytest.raises(Exception, match=r"expected") as caught:
        registry.fetch("models:/foreign/1")
    assert isinstance(caught.value, RegistryError) or caught.value.code.startswith("CONTRACT")
