"""Forms within their bounds lie below the version of their weights, verified; the table lies beside the version."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from data_contracts import CompressionReport, Quantisation, load_record
from medkd.compression.candidates import CompressionSource
from medkd.compression.register_forms import accepted_forms, attach_compression, attach_forms, exported_form, is_trained
from medkd.compression.write_compression import write_compression
from medkd.promotion.version_records import COMPRESSION
from medkd.registry.exported_forms import fetch_form
from tests.compression.made import made, own_form
from tests.flows.recording import GOLDEN
from tests.promotion.versions import Plan, publish
from tests.registry.memory_registry import MemoryRegistry

REPORT = load_record(GOLDEN / "compression_report_1.json", CompressionReport)


@pytest.fixture
def registry():
    return MemoryRegistry()


@pytest.fixture
def source(registry, tmp_path, student):
    model = publish(registry, tmp_path / "version", Plan())
    return CompressionSource(model, student, None)


@pytest.fixture(scope="module")
def forms(workspace, cohorts, student):
    return {
        "torch": (own_form(workspace, cohorts, student, "torch"),),
        "onnx": (own_form(workspace, cohorts, student, "onnx"),),
        "int8": (made(workspace, cohorts, student, "int8", quantise=Quantisation(cases=8)),),
        "int8_onnx": (made(workspace, cohorts, student, "int8_onnx", quantise=Quantisation(by="onnx", cases=8), runtime="onnx"),),
    }


def test_what_is_refused_and_the_version_itself_are_not_attached(forms):
    assert list(accepted_forms(REPORT, forms)) == ["int8"]
    assert accepted_forms(REPORT.model_copy(update={"failed": {"int8": REPORT.failed["pruned"]}}), forms) == {}


def test_a_form_is_attached_with_its_differences_and_read_back_whole(workspace, forms, source, registry):
    (form,) = attach_forms(workspace, source, forms["int8"], {}, registry)
    assert form.source == source.model.lineage
    assert (form.kind, form.precision, form.compared) == ("openvino", "int8", 4)
    assert 0 < form.logits_difference < 0.3
    assert 0 < form.map_difference < 0.3
    found, folder = fetch_form(registry, source.model.uri, "int8")
    assert found == form
    assert sum(path.stat().st_size for path in folder.iterdir() if path.name in form.files) == form.bytes
    assert attach_forms(workspace, source, forms["torch"], {}, registry) == ()


def test_a_trained_form_goes_below_its_own_version(workspace, forms, source, registry, tmp_path, student):
    other = forms["int8"][0].model_copy(update={"checkpoint": student.model_copy(update={"weights_digest": "b" * 64})})
    assert is_trained(other, source)
    assert not is_trained(forms["int8"][0], source)
    model = publish(registry, tmp_path / "own", Plan(name="r-kd-compressed_int8"))
    (form,) = attach_forms(workspace, source, (other,), {"b" * 64: model}, registry)
    assert form.source == model.lineage


def test_the_record_of_a_form_in_float32_is_within_rounding(workspace, forms, source, tmp_path):
    form = exported_form(workspace, forms["onnx"][0], source.model, tmp_path)
    assert form.logits_difference < 1e-4
    assert form.runtime.startswith("onnxruntime ")


def test_the_table_is_attached_once(registry, source, tmp_path):
    write_compression(tmp_path, REPORT)
    attach_compression(registry, source.model, REPORT, tmp_path)
    assert registry.tags(source.model)[COMPRESSION] == REPORT.digest()
    assert registry.fetch_attached(source.model.uri, "compression/pareto.png") is not None
    silent = SimpleNamespace(tags=registry.tags, attach=lambda *_: pytest.fail("attached again"))
    attach_compression(silent, source.model, REPORT, tmp_path)
