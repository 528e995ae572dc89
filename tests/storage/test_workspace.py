from __future__ import annotations

import stat
from pathlib import Path

import pytest
import torch

from data_contracts import StoreError
from medkd.storage.workspace import Workspace, local_workspace, run_folder_id


def test_a_local_run_tracks_to_a_database_of_its_own_and_is_its_owners_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    workspace = local_workspace(Path("run"), data_root=Path("data"))
    assert workspace.tracking_uri == f"sqlite:///{tmp_path / 'run' / 'mlflow.db'}"
    assert (workspace.root, workspace.data_root) == (tmp_path / "run", tmp_path / "data")
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o700


def test_what_a_run_stores_is_referred_to_without_its_place(tmp_path):
    first, second = (Workspace(root=tmp_path / name, tracking_uri="") for name in ("a", "b"))
    refs = [one.store.write_tensors("x.safetensors", {"x": torch.zeros(2)}) for one in (first, second)]
    assert refs[0] == refs[1]
    assert first.store.path(refs[0]) == tmp_path / "a" / "store" / "x.safetensors"


def test_a_run_has_one_id_and_each_machine_a_folder(tmp_path):
    here = Workspace(tmp_path / "run", "http://server", store_uri="s3://bucket/x")
    there = here.for_others().on_this_machine(tmp_path / "work")
    assert run_folder_id(there.root) == run_folder_id(here.root)
    assert there.root == tmp_path / "work" / run_folder_id(here.root)
    assert (there.store_uri, here.on_this_machine(tmp_path / "w", "file:///mnt/x").store_uri) == ("s3://bucket/x", "file:///mnt/x")


@pytest.mark.parametrize(
    ("uri", "tracking", "code"),
    [(None, "http://server", "STORE_MISSING_HERE"), ("s3://bucket", "sqlite:////x/mlflow.db", "TRACKING_LOCAL")],
)
def test_what_another_machine_could_not_reach_is_refused(tmp_path, uri, tracking, code):
    with pytest.raises(StoreError) as caught:
        Workspace(tmp_path, tracking, store_uri=uri).on_this_machine(tmp_path / "work")
    assert caught.value.code == code
    assert not (tmp_path / "work").exists()


def test_the_environment_names_the_store(tmp_path, monkeypatch):
    monkeypatch.delenv("MEDKD_STORE", raising=False)
    assert Workspace(tmp_path, "").objects is None
    monkeypatch.setenv("MEDKD_STORE", str(tmp_path))
    assert Workspace(tmp_path, "").objects is Workspace(tmp_path / "other", "").objects
    assert Workspace(tmp_path, "").store_at("studies").objects is not None
