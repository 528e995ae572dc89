import io

import pytest
from pydicom import dcmread
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from medkd.network.part10 import IMPLEMENTATION_VERSION_NAME, file_head


@pytest.mark.parametrize("instance", ["1.2.3", "1.2.34", "1." + "9" * 62])
def test_pydicom_reads_the_head_of_a_file(instance):
    found = dcmread(io.BytesIO(file_head(CTImageStorage, instance, ExplicitVRLittleEndian)))
    assert (found.file_meta.MediaStorageSOPClassUID, found.file_meta.MediaStorageSOPInstanceUID) == (CTImageStorage, instance)
    assert found.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    head = file_head(CTImageStorage, instance, ExplicitVRLittleEndian)
    assert found.file_meta.FileMetaInformationGroupLength == len(head) - 132 - 12


def test_the_same_object_has_the_same_head():
    assert file_head("1.2", "1.3", "1.4") == file_head("1.2", "1.3", "1.4")
    assert len(IMPLEMENTATION_VERSION_NAME) <= 16
