from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError
from pydicom import Dataset

from data_contracts import VaultEntry, VaultEvent, read_record

GOLDEN = Path(__file__).parent / "golden"


def test_an_entry_holds_original_attributes_that_dicom_reads():
    entry = read_record((GOLDEN / "vault_entry_1.json").read_bytes(), VaultEntry)
    assert str(Dataset.from_json(entry.attributes).PatientName) == "Golden^Ä"
    assert entry.uids[entry.study] == "1.2.3"


@pytest.mark.parametrize("wrong", [{"study": "x"}, {"uids": {"2.25.1": "../x"}}, {"shift_seconds": float("nan")}])
def test_what_is_no_uid_and_no_number_is_refused(wrong):
    entry = read_record((GOLDEN / "vault_entry_1.json").read_bytes(), VaultEntry)
    with pytest.raises(ValidationError):
        VaultEntry.model_validate({**entry.model_dump(), **wrong})


@pytest.mark.parametrize("wrong", [{"what": "deleted"}, {"at": "yesterday"}, {"previous": "x"}])
def test_a_line_says_what_was_done_and_when(wrong):
    event = read_record((GOLDEN / "vault_event_1.json").read_bytes(), VaultEvent)
    with pytest.raises(ValidationError):
        VaultEvent.model_validate({**event.model_dump(), **wrong})
