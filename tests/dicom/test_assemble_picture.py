"""From files of pictures to what the store keeps of them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from data_contracts import Action, IngestCode, IngestPolicy, Outcome, PictureGrid, StoreManifest, load_record
from medkd.dicom.ingest import IngestRequest, ingest
from medkd.dicom.series_words import series_words
from medkd.phantom.dicom_pictures import Picture, ultrasound_region, write_picture
from medkd.storage.store import Store
from tests.dicom.published import picture as drawn

TWELVE = np.random.default_rng(0).integers(0, 4096, (20, 30)).astype(np.uint16)


def ingested(tmp_path, *pictures, **actions):
    for place, one in enumerate(pictures):
        write_picture(tmp_path / "in" / f"{place}.dcm", one)
    policy = IngestPolicy(actions={IngestCode[code]: Action(action) for code, action in actions.items()})
    report = ingest(IngestRequest(tmp_path / "in", tmp_path / "store", policy), secret=b"k")
    manifest = load_record(tmp_path / "store" / "manifest.json", StoreManifest)
    return report, sorted(manifest.volumes, key=lambda one: (one.modality, one.geometry.shape))


def arrays_of(tmp_path, volume):
    return {name: value.numpy() for name, value in Store(tmp_path / "store").read_tensors(volume.array).items()}


def test_values_are_kept_and_what_is_shown_of_them_lies_beside(tmp_path):
    report, (volume,) = ingested(tmp_path, Picture(TWELVE, kind="DX", bits=12, attributes={"WindowCenter": 2000, "WindowWidth": 1000}))
    arrays = arrays_of(tmp_path, volume)
    assert np.array_equal(arrays["volume"][0], TWELVE)
    assert arrays["volume"].dtype == np.int16
    # C.11.2.1.2.1, counted by hand.
    wanted = np.clip(((TWELVE - (2000 - 0.5)) / (1000 - 1) + 0.5) * 255, 0, 255)
    np.testing.assert_allclose(arrays["picture"][0], wanted, atol=1e-3)
    assert isinstance(volume.geometry, PictureGrid)
    assert (volume.geometry.view, volume.geometry.display.centre, volume.unit) == ("PA", 2000, "raw")
    assert "synthetic" not in arrays
    (line,) = report.series
    assert line.residual_mm is None
    assert line.words == "DX PA, 20 x 30 pixels, 0.14 x 0.14 mm at the detector"


def test_monochrome1_is_turned_in_what_is_shown_and_not_in_the_values(tmp_path):
    inverted = {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE", "PixelIntensityRelationshipSign": 1}
    _, (volume,) = ingested(tmp_path, Picture(TWELVE.astype(np.uint8), kind="DX", attributes=inverted))
    arrays = arrays_of(tmp_path, volume)
    assert np.array_equal(arrays["volume"][0], TWELVE.astype(np.uint8))
    assert np.array_equal(arrays["picture"][0], 255 - TWELVE.astype(np.uint8))
    assert json.loads(volume.evidence[IngestCode.MONOCHROME1])["shown"] == "inverted"
    assert volume.picture.display.sign == 1


def test_every_picture_is_an_image_of_its_own_and_told_from_the_others(tmp_path):
    views = [("L", "CC"), ("R", "CC"), ("L", "MLO")]
    mammograms = [
        Picture(TWELVE + place, kind="MG", number=place, attributes={"ImageLaterality": side, "ViewPosition": view})
        for place, (side, view) in enumerate(views)
    ]
    cine = Picture(np.random.default_rng(1).integers(0, 256, (5, 20, 30), dtype=np.uint8), number=9)
    report, volumes = ingested(tmp_path, *mammograms, cine)
    assert report.count(Outcome.ACCEPTED) == 4
    assert len({volume.series_key for volume in volumes}) == 4
    words = sorted(series_words(volume).partition(",")[0] for volume in volumes)
    assert words == ["MG L CC", "MG L MLO", "MG R CC", "US cine 5 frames"]
    moving = next(volume for volume in volumes if volume.modality == "US")
    assert moving.geometry.shape == (5, 20, 30)
    assert moving.geometry.frame_time_ms == 40
    assert moving.flags == (IngestCode.SPACING_UNKNOWN,)
    assert np.array_equal(arrays_of(tmp_path, moving)["picture"], cine.pixels)


def test_what_is_known_is_not_decoded_again(tmp_path):
    first, _ = ingested(tmp_path, Picture(TWELVE, kind="CR"))
    again, _ = ingested(tmp_path)
    assert (first.decoded_files, again.decoded_files) == (1, 0)
    assert first.series == again.series


def test_colours_become_grey_and_are_counted(tmp_path):
    pixels = np.repeat(TWELVE[..., None] % 200, 3, 2).astype(np.uint8)
    pixels[:3, :4] = (220, 20, 20)
    _, (volume,) = ingested(tmp_path, Picture(pixels, colours=True))
    arrays = arrays_of(tmp_path, volume)
    assert np.array_equal(arrays["picture"][0][3:], pixels[3:, :, 0])
    assert (arrays["picture"][0][:3, :4] == round(0.299 * 220 + 0.587 * 20 + 0.114 * 20)).all()
    assert volume.geometry.coloured_pixels == json.loads(volume.evidence[IngestCode.COLOUR_TO_GREY])["coloured_pixels"] == 12
    assert volume.geometry.display.colours == "ITU-R BT.601 luma"


@pytest.mark.parametrize("action", ["repair", "accept_with_flag", "reject"])
def test_lettering_is_refused_kept_or_blanked_as_the_policy_says(tmp_path, action):
    pixels = drawn(shape=(120, 240))
    region = ultrasound_region((0, 60, 239, 119))
    banner = Picture(pixels, attributes={"BurnedInAnnotation": None, "SequenceOfUltrasoundRegions": [region]})
    report, volumes = ingested(tmp_path, banner, BURNED_IN_TEXT=action)
    if action == "reject":
        assert report.codes() == {"BURNED_IN_TEXT": 1}
        return
    arrays = arrays_of(tmp_path, volumes[0])
    if action == "accept_with_flag":
        assert np.array_equal(arrays["picture"][0], pixels)
        return
    assert arrays["synthetic"][0, :60].all()
    assert not arrays["synthetic"][0, 60:].any()
    assert volumes[0].synthetic_voxels == 60 * 240
    assert np.array_equal(arrays["picture"][0, 60:], pixels[60:])
    assert (arrays["picture"][0, :60] == pixels[60:].min()).all()


def test_lettering_of_an_inverted_picture_is_found_where_it_is_shown_bright(tmp_path):
    pixels = 255 - drawn(shape=(120, 240))
    inverted = Picture(pixels, kind="CR", attributes={"PhotometricInterpretation": "MONOCHROME1"})
    report, _ = ingested(tmp_path, inverted)
    assert report.codes() == {"BURNED_IN_TEXT": 1}


@pytest.mark.parametrize("action", ["repair", "accept_with_flag"])
def test_padding_is_counted_and_where_the_policy_repairs_dark_and_marked(tmp_path, action):
    pixels = TWELVE.copy() % 4000 + 50
    pixels[:, :5] = 4095
    _, (volume,) = ingested(tmp_path, Picture(pixels, kind="DX", bits=12, attributes={"PixelPaddingValue": 4095}), PADDING_VALUE=action)
    arrays = arrays_of(tmp_path, volume)
    assert json.loads(volume.evidence[IngestCode.PADDING_VALUE])["pixels"] == 100
    if action == "repair":
        assert arrays["synthetic"].sum() == 100
        assert (arrays["volume"][0, :, :5] == pixels[:, 5:].min()).all()
    else:
        assert np.array_equal(arrays["volume"][0], pixels)


@pytest.mark.parametrize(
    ("attributes", "flag"),
    [
        ({"PresentationIntentType": "FOR PROCESSING"}, IngestCode.FOR_PROCESSING),
        ({"ImagerPixelSpacing": None}, IngestCode.SPACING_UNKNOWN),
    ],
)
def test_what_a_radiograph_does_not_say_is_flagged(tmp_path, attributes, flag):
    _, (volume,) = ingested(tmp_path, Picture(TWELVE, kind="DX", attributes=attributes))
    assert flag in volume.flags
    assert (volume.geometry.spacing is None) == (flag is IngestCode.SPACING_UNKNOWN)


def test_a_unit_is_a_defined_term_or_none(tmp_path):
    slope = {"RescaleSlope": 0.001, "RescaleIntercept": 0}
    pictures = [
        Picture(TWELVE, kind="CR", number=number, attributes={**slope, "RescaleType": unit})
        for number, unit in enumerate(["OD", "US", "HU", "DENSITY OF MILLER"])
    ]
    _, volumes = ingested(tmp_path, *pictures)
    assert sorted(volume.unit for volume in volumes) == ["OD", "raw", "raw", "raw"]
    np.testing.assert_allclose(arrays_of(tmp_path, volumes[0])["volume"][0], TWELVE * 0.001, rtol=1e-6)


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"PhotometricInterpretation": "CMYK"}, "COLOUR_UNSUPPORTED"),
        ({"WindowCenter": 3, "WindowWidth": 4, "VOILUTFunction": "CUBIC"}, "NONLINEAR_LUT"),
        ({"Rows": 2000}, "TRUNCATED_PIXELS"),
        ({"BitsStored": 8, "HighBit": 7}, "BITS_MISMATCH"),
        ({"RescaleSlope": 0, "RescaleIntercept": 0}, "UNREADABLE_NUMBER"),
    ],
)
def test_what_contradicts_itself_is_refused_by_name(tmp_path, attributes, code):
    report, volumes = ingested(tmp_path, Picture(TWELVE, kind="DX", attributes=attributes))
    assert report.codes() == {code: 1}
    assert not volumes


def test_an_empty_picture_is_flagged(tmp_path):
    _, (volume,) = ingested(tmp_path, Picture(TWELVE * 0, kind="DX"))
    assert IngestCode.CONSTANT_SLICE in volume.flags


def test_a_secondary_capture_is_a_picture_where_the_policy_admits_it(tmp_path):
    _, (volume,) = ingested(tmp_path, Picture(TWELVE, kind="SC"), SECONDARY_CAPTURE="accept_with_flag")
    assert IngestCode.SECONDARY_CAPTURE in volume.flags
    assert volume.modality == "OT"


def test_nifti_is_written_of_no_picture(tmp_path):
    write_picture(tmp_path / "in" / "a.dcm", Picture(TWELVE, kind="DX"))
    ingest(IngestRequest(tmp_path / "in", tmp_path / "store", nifti=True), secret=b"k")
    assert not list((tmp_path / "store").rglob("*.nii.gz"))
