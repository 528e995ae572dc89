"""An audit as a record, a table and a picture."""

from __future__ import annotations

from data_contracts import AuditReport, load_record
from medkd.audit.write_audit import audit_markdown, summary, write_audit
from medkd.wording import require_neutral
from tests.flows.recording import GOLDEN

REPORT = load_record(GOLDEN / "audit_report_1.json", AuditReport)


def test_the_table_names_verdicts_figures_and_limits():
    text = require_neutral(audit_markdown(REPORT))
    assert "| corner_mark | follows | +0.400 [+0.350, +0.450] (malignant) | 0.420 [0.360, 0.470] |" in text
    assert "0.800 → 0.600 | 0.300 (0.020; 0.010) | 2e-09 |" in text
    assert "| Device | 0.500 [0.400, 0.600] | no |" in text
    assert "- Marks are drawn by this software." in text
    assert summary(REPORT) == "follows corner_mark; silent under 1, undetermined under 0 of 2"
    assert summary(REPORT.model_copy(update={"artefacts": REPORT.artefacts[1:]})).startswith("follows no artefact")


def test_three_files_are_written(audits, tmp_path):
    write_audit(audits["biased"], tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit.json", "audit.md", "audit.png"]
    assert load_record(tmp_path / "audit.json", AuditReport) == audits["biased"].report
