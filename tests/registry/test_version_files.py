from __future__ import annotations

import zipfile

from data_contracts import NetworkSpec, Task
from medkd.registry.version_files import load_calibration, open_registry, pack_archive
from medkd.storage.workspace import local_workspace
from tests.registered import register_tiny

TASK = Task(kind="segmentation", classes=("background", "lesion"), image_size=(16, 16))


def test_a_version_without_a_calibration_has_none(tmp_path):
    uri = register_tiny(tmp_path, TASK, NetworkSpec(builder="unet", options={"channels": (4, 8)}))
    registry = open_registry(local_workspace(tmp_path))
    assert registry.names() == ("tiny-teacher",)
    assert load_calibration(registry, uri) is None


def test_the_same_files_are_packed_to_the_same_bytes(tmp_path):
    files = {"a/b.json": b"{}", "c": b"text"}
    for name in ("one.zip", "two.zip"):
        pack_archive(tmp_path / name, files)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as packed:
        assert {name: packed.read(name) for name in packed.namelist()} == files
