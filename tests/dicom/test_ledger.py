"""Every file has one outcome, and everything that was met in it."""

from __future__ import annotations

import pytest

from data_contracts import Action, IngestCode, IngestError, IngestPolicy, Outcome
from medkd.dicom.findings import Findings
from medkd.dicom.ledger import Ledger
from tests.dicom.invented import found, header


def outcome(ledger, file):
    (row,) = ledger.rows((file,))
    return row.outcome, row.code


def test_what_was_accepted_is_not_refused_for_one_of_its_frames():
    ledger, file = Ledger(), found()
    ledger.accept(file)
    ledger.refuse(file, IngestCode.MISSING_SLICES)
    assert outcome(ledger, file) == (Outcome.ACCEPTED, None)
    assert ledger.rows((file,))[0].findings == (IngestCode.MISSING_SLICES,)
    assert not ledger.refused


def test_what_was_refused_may_still_be_accepted():
    ledger, file = Ledger(), found()
    ledger.refuse(file, IngestCode.MISSING_SLICES)
    ledger.accept(file)
    assert outcome(ledger, file) == (Outcome.ACCEPTED, None)
    assert not ledger.refused


def test_what_is_withdrawn_can_be_refused():
    ledger, file = Ledger(), found()
    ledger.accept(file)
    ledger.withdraw((file,))
    ledger.refuse(file, IngestCode.PIXEL_IDENTICAL_ACROSS_PATIENTS)
    assert outcome(ledger, file) == (Outcome.QUARANTINED, IngestCode.PIXEL_IDENTICAL_ACROSS_PATIENTS)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("readme.txt", Outcome.IGNORED), ("a.dcm", Outcome.QUARANTINED), ("IM0001", Outcome.QUARANTINED), ("A.IMA", Outcome.QUARANTINED)],
)
def test_a_text_is_ignored_and_what_calls_itself_dicom_is_quarantined(name, wanted):
    ledger, file = Ledger(), found(name, code=IngestCode.NOT_DICOM)
    assert not ledger.admit(file, Findings(IngestPolicy()))
    assert outcome(ledger, file) == (wanted, IngestCode.NOT_DICOM)


def test_a_missing_file_header_is_admitted_by_a_policy_that_repairs():
    file = found("a.dcm", header(), code=IngestCode.MISSING_META)
    assert Ledger().admit(file, Findings(IngestPolicy(every=Action.REPAIR)))
    with pytest.raises(IngestError):
        Ledger().admit(file, Findings(IngestPolicy()))


def test_a_missing_file_header_with_nothing_behind_it_is_refused_by_any_policy():
    ledger, file = Ledger(), found("a.dcm", code=IngestCode.MISSING_META)
    assert not ledger.admit(file, Findings(IngestPolicy(every=Action.REPAIR)))
    assert outcome(ledger, file) == (Outcome.QUARANTINED, IngestCode.MISSING_META)
