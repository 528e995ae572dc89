"""What decoding needs to know is what the header says, by the sign of the pixels."""

from __future__ import annotations

import pytest

from data_contracts import Action, IngestCode
from tests.dicom.voxels import ingested

pytestmark = pytest.mark.usefixtures("odd_values_may_be_written")


@pytest.mark.parametrize("variant", ["axial", "oblique", "big_endian"])
def test_padding_is_known_by_the_sign_of_the_pixels_whatever_its_representation(series, variant):
    def change(_, dataset):
        value = int(dataset.PixelPaddingValue) % 65536
        del dataset.PixelPaddingValue
        other = "US" if dataset.PixelRepresentation else "SS"
        dataset.add_new(0x00280120, other, value if other == "US" else value - 65536)

    _, [(volume, _)] = ingested(series(change, case="padding", variant=variant), Action.REPAIR)
    assert volume.flags == (IngestCode.PADDING_VALUE,)
    assert volume.synthetic_voxels == 14 * 12
