"""A transfer syntax is the one that is stated, else the one that a dataset was read with."""

from __future__ import annotations

import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import JPEG2000, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from medkd.dicom.transfer_syntax import transfer_syntax
from tests.dicom.invented import header


@pytest.mark.parametrize("stated", [JPEG2000, ImplicitVRLittleEndian, "1.2.3.4.99"])
def test_what_is_stated_counts(stated):
    dataset = header()
    dataset.set_original_encoding(False, True)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = stated
    assert transfer_syntax(dataset) == stated


@pytest.mark.parametrize("meta", [None, FileMetaDataset()])
@pytest.mark.parametrize(
    ("implicit", "little", "syntax"),
    [(True, True, ImplicitVRLittleEndian), (False, True, ExplicitVRLittleEndian), (False, False, ExplicitVRBigEndian)],
)
def test_what_nothing_states_is_how_it_was_read(meta, implicit, little, syntax):
    dataset = header()
    dataset.set_original_encoding(implicit, little)
    if meta is not None:
        dataset.file_meta = meta
    assert transfer_syntax(dataset) == syntax
