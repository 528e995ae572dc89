"""The folder of a logged model: MLflow's files name no place of this machine, and every one is listed with its sha256."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from data_contracts import RegistryError
from medkd.registry import mlflow_model
from medkd.registry.mlflow_model import PACKAGE, SERVING, Belonging, lay_out, signature, verify_mlflow_files
from medkd.serving.form import CODE, NETWORK, PREDICT, PackedForm
from medkd.serving.served_model import COLUMNS, Wanted

OF = Belonging(name="net", manifest_digest="1" * 64, model_id="m-0123", run_id="run7")


@pytest.fixture
def package(tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "weights").write_bytes(b"weights")
    return tmp_path / "package"


@pytest.fixture
def form(tmp_path):
    (tmp_path / "form").mkdir()
    for name in (NETWORK, CODE):
        (tmp_path / "form" / name).write_bytes(name.encode())
    return PackedForm(tmp_path / "form", "2" * 64, ("a==1",), np.zeros((1, 2, 2), np.float32), {})


@pytest.fixture
def laid_out(package, form, tmp_path, monkeypatch):
    """Return a laid-out folder and its list of digests; what MLflow writes itself, which takes seconds, is written by hand."""
    import mlflow.models

    template = tmp_path / "template"
    template.mkdir()
    (template / "python_env.yaml").write_text("python: 3.11.7\n")
    (template / "predict.py").write_bytes(PREDICT.read_bytes())
    model = mlflow.models.Model(model_uuid="another")
    model.add_flavor("python_function", loader_module="mlflow.pyfunc.model", model_code_path="/home/somebody/predict.py")
    model.save(str(template / "MLmodel"))
    asked = []
    monkeypatch.setattr(mlflow_model, "_template", lambda *given: asked.append(given) or template)
    listed = lay_out(tmp_path / "model", package, form, OF)
    assert asked == [(json.dumps(form.example_rows()), ("a==1",))]
    return tmp_path / "model", listed


def test_a_version_that_answers_nothing_is_its_own_files_alone(package, tmp_path):
    assert lay_out(tmp_path / "model", package, None, OF) == {}
    assert [path.relative_to(tmp_path / "model").as_posix() for path in (tmp_path / "model").rglob("*") if path.is_file()] == [
        f"{PACKAGE}/weights"
    ]


def test_package_and_form_lie_where_mlflow_looks_for_artefacts(laid_out):
    folder, _ = laid_out
    assert (folder / PACKAGE / "weights").read_bytes() == b"weights"
    assert (folder / SERVING / NETWORK).read_bytes() == NETWORK.encode()
    assert (folder / "predict.py").read_bytes() == PREDICT.read_bytes()


def test_what_mlflow_reads_says_whose_it_is_and_names_no_place_of_this_machine(laid_out, tmp_path):
    import mlflow.models

    folder, _ = laid_out
    model = mlflow.models.Model.load(str(folder))
    assert (model.model_id, model.run_id, model.model_uuid) == ("m-0123", "run7", "0123")
    flavour = model.flavors["python_function"]
    assert flavour["model_code_path"] == "predict.py"
    assert flavour["artifacts"] == {"package": {"path": PACKAGE, "uri": PACKAGE}, "serving": {"path": SERVING, "uri": SERVING}}
    assert flavour["config"] == {"manifest_digest": "1" * 64, "serving_digest": "2" * 64, "name": "net"}
    assert model.flavors["onnx"]["data"] == f"{SERVING}/{NETWORK}"
    text = (folder / "MLmodel").read_text()
    assert "/home/" not in text
    assert str(tmp_path) not in text


def test_mlflows_own_files_are_listed_with_their_sha256(laid_out):
    folder, listed = laid_out
    assert set(listed) == {"MLmodel", "predict.py", "python_env.yaml"}
    for name, digest in listed.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    verify_mlflow_files(folder, listed)


@pytest.mark.parametrize("name", ["MLmodel", "predict.py", "python_env.yaml"])
def test_one_that_differs_or_is_missing_is_named(laid_out, name):
    folder, listed = laid_out
    (folder / name).write_bytes((folder / name).read_bytes() + b"\n")
    for _ in range(2):
        with pytest.raises(RegistryError, match=f"expected {name.replace('.', '[.]')} with sha256") as caught:
            verify_mlflow_files(folder, listed)
        assert caught.value.code == "VERSION_ALTERED"
        (folder / name).unlink(missing_ok=True)


def test_the_signature_names_every_column_of_the_table_and_every_parameter():
    found = signature()
    assert [(column.name, column.required) for column in found.inputs.inputs] == [("dicom", False), ("image", False)]
    named = [column.name for column in found.outputs.inputs]
    assert tuple(named[: len(COLUMNS)]) == COLUMNS
    assert set(named[len(COLUMNS) :]) == {"logits", "class_map", "probabilities", "labels"}
    assert {one.name: one.default for one in found.params.params} == vars(Wanted())
