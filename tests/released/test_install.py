"""A released model in a registry: there once, with its teacher, answering in both forms, and refused where a byte differs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch

from data_contracts import ModelRef, RegistryError
from medkd.explanation.artefact import ask_registry
from medkd.registry.descent import resolve_teacher
from medkd.registry.load_version import load_registered, load_version
from medkd.registry.mlflow_registry import MlflowRegistry
from medkd.released.install import InstalledModel, install_released
from medkd.released.released_models import released_models
from tests.registry.conftest import empty_database
from tests.registry.registered_versions import open_in

__all__ = ["empty_database"]
NAME = "hippocampus"


class Installed(NamedTuple):
    """The registry of a run's folder that was empty, and what was put into it."""

    registry: MlflowRegistry
    model: InstalledModel


@pytest.fixture(scope="module")
def installed(tmp_path_factory, empty_database):
    registry = open_in(tmp_path_factory.mktemp("released") / "run", empty_database)
    (model,) = install_released(registry, released_models([NAME]))
    return Installed(registry, model)


def test_a_student_comes_with_its_teacher_and_once(installed):
    teacher, student = installed.model.versions
    assert installed.model.uri == student.model.uri == "models:/hippocampus-kd_explanation/1"
    assert not installed.model.existed
    assert resolve_teacher(installed.registry, student.model) == teacher.model
    (again,) = install_released(installed.registry, released_models([NAME]))
    assert again.existed
    assert [one.model for one in again.versions] == [teacher.model, student.model]
    assert len(installed.registry.versions("hippocampus-kd_explanation")) == 1


def test_a_student_whose_teacher_another_brings_comes_with_that_and_answers_as_the_teacher_mostly_does(tmp_path, empty_database):
    registry = open_in(tmp_path / "run", empty_database)
    (fast,) = install_released(registry, released_models(["hippocampus-fast"]))
    assert [one.model.uri for one in fast.versions] == ["models:/hippocampus-fast-kd_explanation/1"]
    assert registry.names() == ("hippocampus-fast-kd_explanation", "hippocampus-kd_explanation", "hippocampus-teacher")
    loaded = ask_registry(registry, fast.uri)
    assert isinstance(loaded.teacher, ModelRef)
    assert loaded.teacher == resolve_teacher(registry, fast.versions[0].model)
    assert loaded.checkpoint.network.builder == "light_unet"


def test_it_is_loaded_by_medkd_with_its_teacher_and_its_card(installed):
    loaded = ask_registry(installed.registry, installed.model.uri)
    assert isinstance(loaded.teacher, ModelRef)
    card = installed.model.released.card
    assert load_version(installed.registry, installed.model.uri).card == card
    assert (loaded.structures, loaded.trained_on, loaded.checkpoint.parameters) == ("anatomy", card.trained_on, card.parameters)
    assert loaded.calibration is not None


def test_it_answers_the_same_by_mlflow_alone(installed, monkeypatch):
    import mlflow

    image = np.random.default_rng(0).normal(size=(1, 1, 40, 56, 40)).astype(np.float32)
    before = mlflow.get_tracking_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", installed.registry.uri)
    mlflow.set_tracking_uri(installed.registry.uri)
    try:
        answer = mlflow.pyfunc.load_model(installed.model.uri).predict({"image": image})
    finally:
        mlflow.set_tracking_uri(before)
    network = load_registered(installed.registry, installed.model.uri)[2]
    with torch.inference_mode():
        expected = network(torch.from_numpy(image)).numpy()
    np.testing.assert_allclose(answer["logits"], expected, atol=1e-4)


def test_its_card_is_the_description_in_mlflow(installed):
    text = installed.registry.contents(installed.model.uri).description
    assert "Licence: CC-BY-SA-4.0" in text
    assert "http://medicaldecathlon.com" in text
    assert "It outlines anatomy" in text
    assert f"It was trained on {len(installed.model.released.card.patients)} patients" in text


@pytest.mark.parametrize("member", ["weights.safetensors", "card.json", "model.onnx"])
def test_a_flipped_byte_is_refused_and_its_file_named(member, tmp_path, empty_database):
    (one,) = released_models([NAME])
    path = tmp_path / "hippocampus.zip"
    shutil.copy(one.path, path)
    with zipfile.ZipFile(path) as archive:
        info = [info for info in archive.infolist() if info.filename.endswith(member)][-1]
        start = info.header_offset + 30 + len(info.filename) + len(info.extra)
    payload = bytearray(path.read_bytes())
    payload[start + info.file_size // 2] ^= 1
    path.write_bytes(payload)
    registry = open_in(tmp_path / "run", empty_database)
    with pytest.raises(RegistryError, match=info.filename) as caught:
        install_released(registry, [replace(one, path=path)])
    assert caught.value.code == "EXPORT_ALTERED"
    assert registry.names() == ()


@pytest.mark.extended
def test_installing_needs_no_torch():
    code = (
        "import sys, medkd.released.install, medkd.registry.mlflow_registry, flows.commands\n"
        "print(sorted({'torch', 'monai', 'prefect'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
