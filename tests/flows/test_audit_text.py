"""The terminal's table of an audit."""

from __future__ import annotations

from data_contracts import AuditReport, load_record
from flows.audit_text import audit_text
from tests.flows.recording import GOLDEN

REPORT = load_record(GOLDEN / "audit_report_1.json", AuditReport)


def test_it_fits_a_hundred_columns_and_says_what_is_followed():
    text = audit_text(REPORT)
    assert max(map(len, text.splitlines())) <= 100
    assert text.startswith("r-kd 1 follows corner_mark; silent under 1, undetermined under 0 of 2 (20 patients, 40 cases)")
    assert "corner_mark  follows  +.400 [+.350, +.450] malignant" in text
    assert "Device: AUC .500 [.400, .600]" in text
    assert "gain: " not in text
