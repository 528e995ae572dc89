"""Record, table and picture are written; the table has every figure and every reason."""

from __future__ import annotations

from data_contracts import CompressionReport, load_record
from medkd.compression.write_compression import compression_markdown, said, speed, verdict, write_compression
from medkd.wording import FORBIDDEN
from tests.flows.recording import GOLDEN

REPORT = load_record(GOLDEN / "compression_report_1.json", CompressionReport)


def test_three_files_are_written_and_the_record_is_read_back(tmp_path):
    record, table, picture = write_compression(tmp_path, REPORT)
    assert load_record(record, CompressionReport) == REPORT
    assert table.read_text() == compression_markdown(REPORT)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_table_has_a_row_per_form_with_its_figures_and_what_refuses_it():
    text = compression_markdown(REPORT)
    (row,) = [line for line in text.splitlines() if line.startswith("| int8 |")]
    for cell in ("0.851 [0.835, 0.867]", "+0.000 [-0.000, +0.001]", "0.991 [0.989, 0.992]", "21.6", "5.69 [5.08, 7.80]", "191", "front"):
        assert cell in row
    assert "- int8_onnx: FORM_SLOWER: 0.54 times as fast" in text
    assert "- pruned: not made: NOT_PRUNABLE" in text
    assert "21 test patients" in text
    assert "AMD EPYC (avx2" in text
    assert not [word for word in FORBIDDEN if word in text.lower()]


def test_words_of_a_form():
    torch, int8, slow = REPORT.forms
    assert [verdict(one) for one in (torch, int8, slow)] == ["the version", "front", "FORM_SLOWER"]
    assert verdict(int8.model_copy(update={"on_front": False})) == "within bounds"
    assert (said(None), speed(None)) == ("", "")
