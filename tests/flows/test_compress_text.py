"""Tables within a hundred columns, every reason, and what was registered."""

from __future__ import annotations

import json

from data_contracts import CompressionReport, ExportedForm, ModelRef, load_record
from flows.compress import CompressionResult
from flows.compress_text import compression_summary, compression_text
from tests.flows.recording import GOLDEN

REPORT = load_record(GOLDEN / "compression_report_1.json", CompressionReport)
MODEL, FORM = load_record(GOLDEN / "model_1.json", ModelRef), load_record(GOLDEN / "exported_form_1.json", ExportedForm)


def test_the_text_has_figures_reasons_and_addresses():
    text = compression_text(CompressionResult(REPORT, (MODEL,), (FORM,)))
    tables = [block for block in text.split("\n\n") if "---" in block]
    assert len(tables) >= 2
    assert max(len(line) for block in tables for line in block.splitlines()) <= 100
    for said in (
        ".851 [.835, .867]",
        "21.6",
        "5.690",
        "FORM_SLOWER: 0.54 times as fast",
        "pruned: not made: NOT_PRUNABLE",
        "AMD EPYC",
        MODEL.uri,
    ):
        assert said in text
    assert "attached   forms/int8 below models:/r-kd_explanation/1" in text
    assert "nothing was registered" in compression_text(CompressionResult(REPORT))


def test_the_summary_is_one_object_with_accepted_and_refused():
    summary = json.loads(json.dumps(compression_summary(CompressionResult(REPORT, (MODEL,), (FORM,)))))
    assert summary["accepted"] == ["torch", "int8"]
    assert summary["refused"] == {"int8_onnx": ["FORM_SLOWER"]}
    assert summary["attached"] == {"int8": "models:/r-kd_explanation/1"}
    assert summary["versions"] == [MODEL.uri]
    assert summary["forms"][0]["name"] == "torch"
