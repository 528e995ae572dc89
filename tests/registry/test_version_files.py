from __future__ import annotations

import zipfile

import pytest

from data_contracts import DataError, DicomData, NetworkSpec, Task
from medkd.registry.version_files import load_calibration, open_registry, pack_archive, seen_series
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


def test_the_card_says_which_volumes_a_version_sees_in_the_order_of_its_channels(tmp_path):
    rules = {"t1": {"words": ["T1"]}, "t2": {"words": ["T2"]}}
    data, spec = DicomData(path="s", channels=rules), NetworkSpec(builder="unet", options={"channels": (4, 8)})
    registry, found = open_registry(local_workspace(tmp_path)), {}
    for name, seen in {"both": ("t2", "t1"), "one": ("t2",), "plain": (), "other": ("t1", "flair")}.items():
        task = TASK.model_copy(update={"channels": seen})
        uri = register_tiny(tmp_path, task, spec.model_copy(update={"in_channels": max(1, len(seen))}), name=name, data=data)
        if name == "other":
            with pytest.raises(DataError, match="which volume of a study is 'flair', one of 2 images that it sees") as caught:
                seen_series(registry, uri)
            assert caught.value.code == "TASK_INPUTS"
        else:
            found[name] = {image: rule.words for image, rule in seen_series(registry, uri).items()}
    assert {name: list(rules.items()) for name, rules in found.items()} == {
        "both": [("t2", ("T2",)), ("t1", ("T1",))],
        "one": [("t2", ("T2",))],
        "plain": [],
    }
