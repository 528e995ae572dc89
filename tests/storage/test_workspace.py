from __future__ import annotations

import stat
from pathlib import Path

import torch

from medkd.storage.workspace import Workspace, local_workspace


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
