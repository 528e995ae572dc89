"""A version goes from a local MLflow with everything that is its own, and what is somebody else's stays."""

from __future__ import annotations

import shutil

import pytest
from mlflow.exceptions import MlflowException

from tests.registry.registered_versions import open_in, publish

FUTURE_MS = 2**42


@pytest.fixture(scope="module")
def template(tmp_path_factory, empty_database):
    """Return the folder of a registry with two versions."""
    folder = tmp_path_factory.mktemp("purge") / "run"
    registry = open_in(folder, empty_database)
    for content in ("one", "two"):
        publish(registry, folder, "net", content=content)
    return folder


@pytest.fixture
def purged(template, tmp_path):
    """Return a registry of two versions, what cleans it up, and the folder of its artefacts."""
    shutil.copytree(template, tmp_path / "run")
    registry = open_in(tmp_path / "run", tmp_path / "run" / "mlflow.db")
    return registry, registry.housekeeping(), tmp_path / "run" / "mlartifacts"


def test_a_version_goes_with_its_files_and_the_other_stays_whole(purged):
    registry, housekeeping, root = purged
    first, second = registry.versions("net")
    before = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    sizes = [housekeeping.size_of(model) for model in (first, second)]
    assert sum(sizes) == before
    assert min(sizes) > 0
    housekeeping.remove_version(first)
    assert registry.versions("net") == (second,)
    assert sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) == sizes[1]
    assert registry.fetch(second.uri)[0] == second
    assert housekeeping.leftovers(FUTURE_MS) == ()


def test_what_a_removal_that_was_killed_left_is_found_and_removed(purged):
    registry, housekeeping, root = purged
    first, second = registry.versions("net")
    registry._client.delete_model_version("net", str(first.version))
    found = housekeeping.leftovers(FUTURE_MS)
    assert sorted(one.kind for one in found) == ["logged model", "run"]
    assert housekeeping.leftovers(0) == (), "what was made later may be a registration that goes on"
    for one in found:
        housekeeping.remove_leftover(one)
        housekeeping.remove_leftover(one)
        if one.kind == "run":
            with pytest.raises(MlflowException, match=one.name):
                registry._client.get_run(one.name)
    assert housekeeping.leftovers(FUTURE_MS) == ()
    assert housekeeping.size_of(second) == sum(path.stat().st_size for path in root.rglob("*") if path.is_file())


def test_a_folder_without_a_row_is_found_by_the_form_of_its_name(purged):
    _, housekeeping, root = purged
    for name in (f"models/m-{'0' * 32}", "0" * 32, "notes"):
        (root / name).mkdir()
        (root / name / "file").write_text("x")
    found = housekeeping.leftovers(0)
    assert {(one.kind, one.name, one.bytes) for one in found} == {
        ("artefact folder", f"models/m-{'0' * 32}", 1), ("artefact folder", "0" * 32, 1)
    }  # fmt: skip
    for one in found:
        housekeeping.remove_leftover(one)
    assert (root / "notes").exists()
    assert not (root / ("0" * 32)).exists()


def test_a_run_that_is_of_no_version_is_a_result_and_stays(purged):
    registry, housekeeping, _ = purged
    run = registry._client.create_run(registry._client.get_experiment_by_name("medkd").experiment_id)
    assert run.info.run_id not in {one.name for one in housekeeping.leftovers(FUTURE_MS)}
