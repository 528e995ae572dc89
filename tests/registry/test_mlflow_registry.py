"""What is asked of MLflow itself: a second client, experiments that were cut short, tags that two set at once."""

from __future__ import annotations

import pytest

from tests.registry.publications import publication_without_weights


def test_a_second_client_of_the_same_database_finds_the_version(parts):
    from medkd.registry.mlflow_registry import MlflowRegistry

    registry, _, folder = parts
    model = registry.register(publication_without_weights(folder))
    other = MlflowRegistry(f"sqlite:///{folder / 'mlflow.db'}", artifacts=folder / "artifacts")
    assert other.fetch(model.uri)[0] == model
    assert other.register(publication_without_weights(folder)) == model


def test_an_experiment_that_was_cut_short_is_closed_and_logged_again_once(parts):
    from medkd.registry.interface import LoggedRun

    registry, client, folder = parts
    where = registry.runs.experiment("medkd")
    dead = client.create_run(where, tags={"medkd.scoreboard": "d1"})
    (folder / "board.md").write_text("x")
    top = LoggedRun("experiment x", params={"primary": "auc"}, files=(folder / "board.md",))
    arms = [
        LoggedRun(
            "x/kd", metrics={f"m{k}": k / 7 for k in range(1200)}, history=({"epoch": 1, "oracle": 0.5}, {"epoch": 3, "oracle": 0.75})
        )
    ]
    for _ in range(2):
        registry.log_experiment("d1", top, arms)
    runs = client.search_runs([where])
    assert {r.info.run_name: r.info.status for r in runs if r.info.run_id != dead.info.run_id} == {
        "experiment x": "FINISHED",
        "x/kd": "FINISHED",
    }
    assert client.get_run(dead.info.run_id).info.status == "KILLED"
    (arm,) = [r for r in runs if r.info.run_name == "x/kd"]
    assert len(arm.data.metrics) == 1201
    assert [(m.step, m.value) for m in client.get_metric_history(arm.info.run_id, "oracle")] == [(1, 0.5), (3, 0.75)]
    assert arm.data.tags["mlflow.parentRunId"] in {r.info.run_id for r in runs}


@pytest.mark.parametrize("said", ["(sqlite3.IntegrityError) UNIQUE constraint failed: x", "duplicate key value violates unique constraint"])
def test_a_tag_that_another_one_made_at_the_same_moment_is_set_all_the_same(parts, monkeypatch, said):
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import BAD_REQUEST

    registry, client, folder = parts
    registry.register(publication_without_weights(folder))
    own, refused = registry._client.set_registered_model_tag, [said]

    def contested(*arguments):
        if refused:
            client.set_registered_model_tag("net", "lock", "of another one")
            raise MlflowException(refused.pop(), error_code=BAD_REQUEST)
        own(*arguments)

    monkeypatch.setattr(registry._client, "set_registered_model_tag", contested)
    registry.set_name_tag("net", "lock", "own")
    assert registry.name_tags("net")["lock"] == "own"
    for _ in range(2):  # removing what is gone is no error
        registry.set_name_tag("net", "lock", None)
    assert "lock" not in registry.name_tags("net")
    refused += ["something else"]
    with pytest.raises(MlflowException, match="something else"):
        registry.set_name_tag("net", "lock", "own")
