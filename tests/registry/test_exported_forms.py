"""A form lies below its version, every byte verified; altered, gone or unknown it is refused in a sentence."""

from __future__ import annotations

import hashlib

import pytest

from data_contracts import CompressionError, ModelRef, RegistryError
from data_contracts.compression import ExportedForm
from medkd.registry.exported_forms import attach_form, fetch_form, form_digests
from tests.registry.memory_registry import MemoryRegistry

SHA = hashlib.sha256(b"x").hexdigest()
MODEL = ModelRef(name="net", version=1, manifest_digest=SHA, role="student", weights_digest=SHA)
FILES = {"model.xml": b"<net/>", "configs/inference.json": b"{}"}


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """Return a registry with a version whose own files nobody asks for."""
    found = MemoryRegistry()
    found._versions["net"] = [(MODEL, tmp_path)]
    monkeypatch.setattr(found, "fetch", lambda _: (MODEL, tmp_path))
    return found


def written(folder, files=FILES, **changes):
    """Write files of a form and return its record."""
    for name, payload in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(payload)
    digests = {name: hashlib.sha256(payload).hexdigest() for name, payload in files.items()}
    given = {"name": "openvino", "kind": "openvino", "source": MODEL.lineage, "files": digests, "bytes": 8, "runtime": "openvino 1"}
    return ExportedForm(**{**given, "logits_difference": 1e-7, "compared": 3, **changes})


def test_what_was_attached_is_fetched_byte_by_byte(registry, tmp_path):
    form = written(tmp_path / "out")
    assert form_digests(registry, MODEL) == {}
    assert attach_form(registry, MODEL, form, tmp_path / "out")
    assert form_digests(registry, MODEL) == {"openvino": form.digest()}
    found, folder = fetch_form(registry, MODEL.uri, "openvino")
    assert found == form
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES


def test_the_same_form_is_not_attached_twice_and_another_replaces_it(registry, tmp_path):
    attach_form(registry, MODEL, written(tmp_path / "out"), tmp_path / "out")
    again = written(tmp_path / "again", logits_difference=2e-7)
    assert not attach_form(registry, MODEL, again, tmp_path / "again")
    assert fetch_form(registry, MODEL.uri, "openvino")[0].logits_difference == 1e-7
    other = written(tmp_path / "other", {"model.xml": b"<other/>"})
    assert attach_form(registry, MODEL, other, tmp_path / "other")
    assert fetch_form(registry, MODEL.uri, "openvino")[0] == other


def refused(registry, name="openvino"):
    with pytest.raises(CompressionError, match="expected") as caught:
        fetch_form(registry, MODEL.uri, name)
    return caught.value


@pytest.mark.parametrize("place", ["model.xml", "configs/inference.json", "form.json"])
@pytest.mark.parametrize("change", ["altered", "gone"])
def test_a_tampered_form_is_refused_by_the_name_of_its_file(registry, tmp_path, place, change):
    attach_form(registry, MODEL, written(tmp_path / "out"), tmp_path / "out")
    beside = registry._beside[MODEL.uri]
    if change == "gone":
        del beside[f"forms/openvino/{place}"]
    else:
        beside[f"forms/openvino/{place}"] += b" "
    error = refused(registry)
    assert error.code == "FORM_ALTERED"
    assert place in str(error)


def test_a_record_that_leaves_its_folder_or_is_of_another_version_is_refused(registry, tmp_path):
    for changed in ({"files": {"../model.xml": SHA}}, {"source": MODEL.lineage.model_copy(update={"version": 2})}, {"files": {}}):
        form = written(tmp_path / "out").model_copy(update=changed)
        form.write(tmp_path / "form.json")
        registry.attach(MODEL, {"forms/openvino": tmp_path / "form.json"}, {"medkd.form.openvino": form.digest()})
        error = refused(registry)
        assert error.code == "FORM_ALTERED"
        assert ("form.json" in str(error)) is bool(form.files)  # before any of its files is asked for


def test_a_form_that_is_not_there_is_refused_with_those_that_are(registry, tmp_path):
    assert "(none)" in str(refused(registry))
    attach_form(registry, MODEL, written(tmp_path / "out"), tmp_path / "out")
    error = refused(registry, "onnx")
    assert error.code == "FORM_UNKNOWN"
    assert "(openvino)" in str(error)
    with pytest.raises(RegistryError):
        fetch_form(registry, "models:/net/9", "openvino")


def test_a_folder_that_is_not_its_record_is_not_attached(registry, tmp_path):
    form = written(tmp_path / "out")
    (tmp_path / "out" / "model.xml").write_bytes(b"other")
    with pytest.raises(CompressionError) as caught:
        attach_form(registry, MODEL, form, tmp_path / "out")
    assert caught.value.code == "FORM_ALTERED"
    assert form_digests(registry, MODEL) == {}
