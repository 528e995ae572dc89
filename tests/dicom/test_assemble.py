"""What is stored of a series: values, masks of what was not measured, and what a policy makes of what decoding meets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian

from data_contracts import Action, IngestCode, IngestPolicy, StoreManifest, load_record
from medkd.dicom.ingest import IngestRequest, ingest
from medkd.phantom.faulty_scan import VARIANTS
from medkd.storage.store import Store
from tests.dicom.voxels import truth

BY_NAME = {variant.name: variant for variant in VARIANTS}


def ingested(folder: Path, **policy):
    out = folder.parent / "store"
    report = ingest(IngestRequest(folder, out, IngestPolicy(**policy)), secret=b"k")
    volumes = load_record(out / "manifest.json", StoreManifest).volumes
    return report, [(volume, Store(out).read_tensors(volume.array)) for volume in volumes]


def test_a_filled_slice_lies_between_its_neighbours_and_is_marked(series):
    report, [(volume, arrays)] = ingested(series(case="missing_slice"), every=Action.REPAIR)
    (filled,) = volume.synthetic_slices
    values, mask = arrays["volume"].numpy().astype(float), arrays["synthetic"].numpy()
    assert np.abs(values[filled] - (values[filled - 1] + values[filled + 1]) / 2).max() <= 0.5
    assert mask[filled].all()
    assert mask.sum() == volume.synthetic_voxels == mask[filled].size
    measured = mask == 0
    assert np.abs(values - truth(volume))[measured].max() < 1
    assert np.abs(values - truth(volume))[~measured].max() > 1
    assert volume.flags == (IngestCode.MISSING_SLICES,)
    assert report.series[0].synthetic_slices == 1


def test_a_truncated_end_slice_takes_its_neighbours_values_and_keeps_its_place(series):
    def cut(index, dataset):
        if index == 0:
            dataset.PixelData = dataset.PixelData[:-200]
        return index == 0

    _, [(volume, arrays)] = ingested(series(cut), every=Action.REPAIR)
    assert volume.synthetic_slices == (0,)
    assert (arrays["volume"][0] == arrays["volume"][1]).all()
    assert volume.geometry.shape[0] == 14


def test_neither_of_two_contradicting_slices_is_believed(series):
    _, [(volume, arrays)] = ingested(series(case="duplicate_conflict"), every=Action.REPAIR)
    (place,) = volume.synthetic_slices
    neighbours = (arrays["volume"][place - 1].double() + arrays["volume"][place + 1].double()) / 2
    assert (arrays["volume"][place].double() - neighbours).abs().max() <= 0.5


def test_padding_stays_by_default_and_is_marked_after_repair(series):
    folder = series(case="padding")
    _, [(volume, arrays)] = ingested(folder)
    assert volume.flags == (IngestCode.PADDING_VALUE,)
    assert "synthetic" not in arrays
    assert float(arrays["volume"].max()) == 60000 - 1024
    _, [(volume, arrays)] = ingested(folder, actions={IngestCode.PADDING_VALUE: Action.REPAIR})
    padded = arrays["synthetic"].numpy() > 0
    assert padded[:, :3, :4].all()
    assert padded.sum() == 14 * 12
    values = arrays["volume"].numpy()
    assert (values[padded] == values[~padded].min()).all()
    assert volume.synthetic_slices == ()


def test_overlay_bits_above_the_stored_ones_are_refused_or_cut(series):
    def overlay(index, dataset):
        stored = np.frombuffer(dataset.PixelData, "<u2") & 0x0FFF
        dataset.BitsStored, dataset.HighBit = 12, 11
        if index == 5:
            stored = stored | 0x4000
        dataset.PixelData = stored.astype("<u2").tobytes()

    folder = series(overlay)
    report, volumes = ingested(folder)
    assert report.codes() == {"BITS_MISMATCH": 14}
    assert volumes == []
    _, [(volume, arrays)] = ingested(folder, every=Action.REPAIR)
    assert volume.flags == (IngestCode.BITS_MISMATCH,)
    assert np.abs(arrays["volume"].numpy() - truth(volume)).max() < 1


@pytest.mark.parametrize("variant", ["axial", "coronal", "sagittal"])
def test_signed_values_of_fewer_bits_are_read_whatever_fills_the_rest(series, variant):
    """Twelve bits in two's complement, the upper four zero instead of repeating the sign."""

    def narrow(_, dataset):
        signed = dataset.pixel_array.astype(np.int32) * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.PixelRepresentation, dataset.BitsStored, dataset.HighBit = 1, 12, 11
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
        dataset.PixelData = (np.rint(signed).astype(np.int32) & 0x0FFF).astype("<u2").tobytes()
        dataset["PixelData"].VR = "OW"
        dataset["PixelData"].is_undefined_length = False

    _, [(volume, arrays)] = ingested(series(narrow, variant=variant))
    assert np.abs(arrays["volume"].numpy() - truth(volume)).max() < 1


def test_float_pixels_are_read_and_undefined_ones_are_refused_or_marked(series):
    def parametric(undefined):
        def change(index, dataset):
            values = dataset.pixel_array.astype("<f4") - 1024
            if undefined and index == 2:
                values[4, 5:9] = np.nan
            del dataset.PixelData, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation
            dataset.RescaleSlope, dataset.RescaleIntercept, dataset.BitsAllocated = 1, 0, 32
            dataset.FloatPixelData = values.tobytes()

        return change

    _, [(volume, arrays)] = ingested(series(parametric(False)))
    assert str(arrays["volume"].dtype) == "torch.float32"
    assert np.abs(arrays["volume"].numpy() - truth(volume)).max() < 1
    folder = series(parametric(True))
    assert ingested(folder)[0].codes() == {"NAN_OR_INF": 14}
    _, [(volume, arrays)] = ingested(folder, every=Action.REPAIR)
    mask = arrays["synthetic"].numpy() > 0
    assert volume.synthetic_voxels == mask.sum() == 4
    assert mask[2, 4, 5:9].all()
    assert np.abs(arrays["volume"].numpy() - truth(volume))[~mask].max() < 1


def test_a_constant_slice_is_flagged(series):
    def blank(index, dataset):
        if index == 3:
            dataset.PixelData = bytes(len(dataset.PixelData))

    _, [(volume, _)] = ingested(series(blank))
    assert volume.flags == (IngestCode.CONSTANT_SLICE,)
    assert '"slices": [3]' in volume.evidence[IngestCode.CONSTANT_SLICE]


def test_ct_without_rescale_is_refused_or_called_raw(series):
    def strip(_, dataset):
        del dataset.RescaleSlope, dataset.RescaleIntercept

    folder = series(strip)
    assert ingested(folder)[0].codes() == {"RESCALE_MISSING": 14}
    _, [(volume, _)] = ingested(folder, every=Action.ACCEPT_WITH_FLAG)
    assert volume.unit == "raw"
    assert volume.flags == (IngestCode.RESCALE_MISSING,)


def test_values_that_no_tissue_has_are_flagged(series):
    def raw(_, dataset):
        dataset.RescaleIntercept = 0

    _, [(volume, _)] = ingested(series(raw))
    assert volume.flags == (IngestCode.HU_RANGE_IMPLAUSIBLE,)


def test_a_lookup_table_instead_of_a_rescale_is_refused(series):
    def table(_, dataset):
        item = pydicom.Dataset()
        item.LUTDescriptor, item.ModalityLUTType, item.LUTData = [2, 0, 16], "US", [1, 2]
        for keyword in ("LUTDescriptor", "LUTData"):
            item[keyword].VR = "US"
        dataset.ModalityLUTSequence = [item]

    assert ingested(series(table))[0].codes() == {"NONLINEAR_LUT": 14}


def test_a_volume_with_text_in_its_pixels_is_refused_and_never_blanked(series):
    from PIL import Image, ImageDraw, ImageFont

    def write(index, dataset):
        canvas = Image.new("L", (200, 120))
        ImageDraw.Draw(canvas).text((8, 40), "DOE JANE 1950", fill=255, font=ImageFont.load_default(size=18))
        drawn = np.array(canvas)
        noise = np.random.default_rng(index).normal(1000, 60, drawn.shape)
        dataset.Rows, dataset.Columns = drawn.shape
        dataset.PixelData = np.where(drawn > 128, 3000, noise).astype("<u2").tobytes()

    folder = series(write)
    for every in (None, Action.REPAIR):
        report, volumes = ingested(folder, every=every)
        assert report.codes() == {"BURNED_IN_TEXT": 14}
        assert volumes == []
    _, [(volume, _)] = ingested(folder, every=Action.ACCEPT_WITH_FLAG)
    assert IngestCode.BURNED_IN_TEXT in volume.flags


@pytest.mark.parametrize("every", [None, Action.REPAIR])
def test_text_that_the_header_states_is_refused(series, every):
    report, volumes = ingested(series(lambda _, dataset: setattr(dataset, "BurnedInAnnotation", "YES")), every=every)
    assert report.codes() == {"BURNED_IN_TEXT": 14}
    assert volumes == []


def test_evidence_in_the_store_names_no_file(series):
    def cut(index, dataset):
        if index == 4:
            dataset.PixelData = dataset.PixelData[:-200]
        return index == 4

    folder = series(cut)
    ingested(folder, every=Action.REPAIR)
    text = (folder.parent / "store" / "manifest.json").read_text()
    assert "TRUNCATED_PIXELS" in text
    assert "IM00" not in text


def test_what_is_stored_is_a_safetensors_file_like_any_other(series):
    """Written slice by slice by our own hand, read by the library."""
    from safetensors.numpy import load_file

    folder = series(case="missing_slice")
    _, [(volume, arrays)] = ingested(folder, every=Action.REPAIR)
    read = load_file(folder.parent / "store" / volume.array.key)
    assert {name: (str(a.dtype), a.shape) for name, a in read.items()} == {
        "volume": ("int16", volume.geometry.shape),
        "synthetic": ("uint8", volume.geometry.shape),
    }
    assert (read["volume"] == arrays["volume"].numpy()).all()


def test_a_strict_policy_refuses_even_notes(series):
    report, volumes = ingested(series(case="monochrome1"), every=Action.REJECT)
    assert report.codes() == {"MONOCHROME1": 14}
    assert volumes == []


def test_another_policy_is_another_result_and_the_same_one_is_remembered(series):
    folder = series(case="gantry_tilt")
    assert ingested(folder)[1] == []
    first, [(volume, _)] = ingested(folder, every=Action.REPAIR)
    assert volume.tilt_degrees == pytest.approx(14.0)
    assert first.decoded_files == 14
    assert ingested(folder, every=Action.REPAIR)[0].decoded_files == 0
    report, volumes = ingested(folder)
    assert report.codes() == {"GANTRY_TILT": 14}
    assert volumes == []
