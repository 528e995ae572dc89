"""What decoding needs to know is what the header says, by the sign of the pixels."""

from __future__ import annotations

import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import JPEG2000, RLELossless

from data_contracts import Action, IngestCode, IngestError
from medkd.dicom.pixel_plan import plan_pixels
from medkd.dicom.slices import slices_of
from tests.dicom.invented import found, header, slice_at
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


def encoded(syntax, **values):
    dataset = header(**values)
    dataset.set_original_encoding(False, True)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    return plan_pixels(slices_of(found("a", dataset))[0])


@pytest.mark.parametrize(("syntax", "words"), [(RLELossless, True), (JPEG2000, False)])
def test_only_run_lengths_keep_bits_that_are_not_stored(syntax, words):
    plan = encoded(syntax)
    assert (plan.plain, plan.keeps_words) == (False, words)


def test_a_plain_plan_is_what_the_header_says():
    plan = plan_pixels(slice_at(0, BitsStored=12, HighBit=13, RescaleSlope=0.5))
    assert (plan.plain, plan.keeps_words, plan.bits, plan.raised, plan.signed, plan.exact) == (True, True, (16, 12), 2, True, False)


def test_the_range_of_padding_has_its_smaller_end_first():
    assert plan_pixels(slice_at(0, PixelPaddingValue=-2, PixelPaddingRangeLimit=-9)).padding == (-9.0, -2.0)
    assert plan_pixels(slice_at(0, PixelPaddingValue=-2)).padding == (-2.0, -2.0)
    assert plan_pixels(slice_at(0)).padding is None


def test_without_pixels_or_with_a_look_up_table_there_is_no_plan():
    for item, code in (
        (slices_of(found("a", header(), pixels=None))[0], IngestCode.NO_PIXEL_DATA),
        (slice_at(0, ModalityLUTSequence=[]), IngestCode.NONLINEAR_LUT),
    ):
        with pytest.raises(IngestError) as caught:
            plan_pixels(item)
        assert caught.value.ingest_code is code
