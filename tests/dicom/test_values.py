"""Values are what the header says: the bits that are stored, their sign, their unit, and numbers as they were meant."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom import Dataset, Sequence, config
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from data_contracts import Action, IngestCode, IngestPolicy, StoreManifest, load_record
from medkd.dicom.ingest import IngestRequest, ingest
from medkd.dicom.raw_values import read_numbers, stored_number
from medkd.phantom.dicom_faults import write_case
from medkd.phantom.faulty_scan import find_variant, hounsfield_at
from medkd.storage.store import Store


@pytest.fixture(autouse=True)
def odd_values_may_be_written(monkeypatch):
    monkeypatch.setattr(config.settings, "writing_validation_mode", config.IGNORE)
    monkeypatch.setattr(config.settings, "reading_validation_mode", config.IGNORE)


@pytest.fixture
def series(tmp_path):
    """Return a maker: a sound series whose files are changed by a function of (index along the stack, dataset)."""

    def make(change, case="regular", variant="axial"):
        for index, path in enumerate(sorted(write_case(tmp_path / "case", case, find_variant(variant)))):
            dataset = pydicom.dcmread(path)
            change(index, dataset)
            dataset.save_as(path, enforce_file_format=True)
        return tmp_path / "case"

    return make


def ingested(folder, every=None):
    out = folder.parent / f"store-{every}"
    report = ingest(IngestRequest(folder, out, IngestPolicy(every=every)), secret=b"k")
    volumes = load_record(out / "manifest.json", StoreManifest).volumes
    return report, [(volume, Store(out).read_tensors(volume.array)["volume"].numpy().astype(float)) for volume in volumes]


def truth(volume):
    affine = np.asarray(volume.geometry.affine_lps_mm)
    index = np.stack(np.meshgrid(*[np.arange(size) for size in volume.geometry.shape], indexing="ij"), axis=-1)
    return hounsfield_at(index @ affine[:3, :3].T + affine[:3, 3])


def rewrite(dataset, words, *, bits, high, signed=False, intercept=-1024, allocated=16, syntax=ExplicitVRLittleEndian):
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = allocated, bits, high, int(signed)
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, intercept
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if syntax == RLELossless else syntax
    dataset.PixelData = words.astype(f"{order}u{allocated // 8}").tobytes()
    dataset["PixelData"].VR = "OW"
    dataset["PixelData"].is_undefined_length = False
    if syntax == RLELossless:
        dataset.compress(RLELossless, generate_instance_uid=False)


def raised(*, bits, high, signed, allocated=16, syntax=ExplicitVRLittleEndian, below=0, above=0):
    """Return a change: values in the bits up to ``high``, with something in the other bits."""

    def change(_, dataset):
        hu = dataset.pixel_array.astype(np.int64) * int(dataset.RescaleSlope) + int(dataset.RescaleIntercept)
        values = hu if signed else hu + 1024
        words = (values & ((1 << bits) - 1)) << (high - bits + 1)
        words |= below | above
        rewrite(dataset, words, bits=bits, high=high, signed=signed, intercept=0 if signed else -1024, allocated=allocated, syntax=syntax)

    return change


@pytest.mark.parametrize("every", [None, Action.REPAIR])
@pytest.mark.parametrize(
    ("bits", "high", "signed", "allocated", "syntax"),
    [
        (12, 15, False, 16, ExplicitVRLittleEndian),
        (12, 13, False, 16, ImplicitVRLittleEndian),
        (12, 15, True, 16, ExplicitVRLittleEndian),
        (13, 14, True, 16, ExplicitVRBigEndian),
        (12, 15, False, 16, RLELossless),
        (16, 31, True, 32, ExplicitVRLittleEndian),
        (16, 23, False, 32, ExplicitVRLittleEndian),
    ],
)
def test_values_in_the_upper_bits_of_their_words_are_read_from_there(series, bits, high, signed, allocated, syntax, every):
    variant = {ExplicitVRBigEndian: "big_endian", ImplicitVRLittleEndian: "oblique"}.get(syntax, "axial")
    folder = series(raised(bits=bits, high=high, signed=signed, allocated=allocated, syntax=syntax), variant=variant)
    assert pydicom.dcmread(next(folder.iterdir())).file_meta.TransferSyntaxUID == syntax
    report, [(volume, values)] = ingested(folder, every)
    assert report.codes() == {}
    assert volume.flags == (IngestCode.HIGH_BIT,)
    assert np.abs(values - truth(volume)).max() < 1


@pytest.mark.parametrize("every", [None, Action.REPAIR, Action.ACCEPT_WITH_FLAG])
@pytest.mark.parametrize("below", [0x1, 0x8])
def test_bits_below_the_values_contradict_the_header_and_are_never_cut(series, every, below):
    report, volumes = ingested(series(raised(bits=12, high=15, signed=False, below=below)), every)
    assert (report.codes(), volumes) == ({"BITS_MISMATCH": 14}, [])


@pytest.mark.parametrize("every", [None, Action.REPAIR])
def test_a_high_bit_of_the_header_that_the_values_do_not_have_is_refused(series, every):
    """The words hold ordinary twelve bits; read as the header says, they would be sixteen times too small."""

    def change(index, dataset):
        raised(bits=12, high=11, signed=False)(index, dataset)
        dataset.HighBit = 15

    report, volumes = ingested(series(change), every)
    assert (report.codes(), volumes) == ({"BITS_MISMATCH": 14}, [])


@pytest.mark.parametrize("high", [5, 16, 40])
def test_a_high_bit_outside_of_its_word_is_refused(series, high):
    def change(index, dataset):
        raised(bits=12, high=11, signed=False)(index, dataset)
        dataset.HighBit = high

    for every in (None, Action.REPAIR):
        assert ingested(series(change), every)[0].codes() == {"BITS_MISMATCH": 14}


def test_bits_above_the_values_are_cut_by_a_repair_only(series):
    folder = series(raised(bits=12, high=13, signed=False, above=0x8000))
    assert ingested(folder)[0].codes() == {"BITS_MISMATCH": 14}
    _, [(volume, values)] = ingested(folder, Action.REPAIR)
    assert set(volume.flags) == {IngestCode.BITS_MISMATCH, IngestCode.HIGH_BIT}
    assert np.abs(values - truth(volume)).max() < 1


@pytest.mark.parametrize(
    ("vr", "written", "signed", "bits", "wanted"),
    [
        ("US", 63536, True, 16, -2000),
        ("SS", -2000, True, 16, -2000),
        ("SS", -5536, False, 16, 60000),
        ("US", 60000, False, 16, 60000),
        ("US", 0x0830, True, 12, -2000),
        ("US", 0xF830, True, 12, -2000),
        ("US", 4095, False, 12, 4095),
        ("US", 2000, True, 12, 2000),
    ],
)
def test_a_value_of_the_pixels_is_read_by_the_sign_of_the_pixels(tmp_path, vr, written, signed, bits, wanted):
    dataset = Dataset()
    dataset.add_new(0x00280120, vr, written)
    for implicit in (False, True):
        for raw in (False, True):
            if raw:
                dataset.save_as(tmp_path / "x", implicit_vr=implicit, little_endian=True)
                read = pydicom.dcmread(tmp_path / "x", force=True)
            else:
                read = dataset
            assert stored_number(read, 0x00280120, signed=signed, bits=bits) == wanted
    assert stored_number(dataset, 0x00280121, signed=signed, bits=bits) is None


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


def typed(kind, modality="CT", image_type=None):
    def change(_, dataset):
        dataset.Modality = modality
        dataset.RescaleType = kind
        if kind is None:
            del dataset.RescaleType
        if image_type:
            dataset.ImageType = ["DERIVED", "PRIMARY", "AXIAL", image_type]

    return change


@pytest.mark.parametrize(
    ("kind", "modality", "image_type", "unit", "flagged"),
    [
        ("HU", "CT", None, "HU", False),
        ("hu", "CT", None, "HU", False),
        (None, "CT", None, "HU", False),
        ("MGML", "CT", "IODINE", "MGML", True),
        ("Z_EFF", "CT", None, "Z_EFF", True),
        ("US", "CT", None, "US", True),
        ("ED", "CT", None, "ED", True),
        ("HU_MOD", "CT", None, "HU_MOD", True),
        ("PCT", "CT", None, "PCT", True),
        ("Doe^Jane", "CT", None, "raw", True),
        (None, "CT", "EFF_Z", "raw", True),
        (None, "CT", "MAT_SPECIFIC", "raw", True),
        ("US", "MR", None, "raw", False),
        ("normalized", "MR", None, "raw", False),
        (None, "MR", None, "raw", False),
        ("OD", "MR", None, "OD", False),
    ],
)
def test_the_unit_is_what_the_header_says_and_only_then_hounsfield(series, kind, modality, image_type, unit, flagged):
    _, [(volume, values)] = ingested(series(typed(kind, modality, image_type)))
    assert volume.unit == unit
    assert (IngestCode.NOT_HOUNSFIELD in volume.flags) is flagged
    assert np.abs(values - truth(volume)).max() < 1
    assert "Doe" not in volume.canonical_json().decode()


def test_slices_of_two_units_are_two_volumes(series):
    def change(index, dataset):
        dataset.RescaleType = "HU" if float(dataset.ImagePositionPatient[2]) < 50 else "MGML"

    report, volumes = ingested(series(change))
    assert sorted(volume.unit for volume, _ in volumes) == ["HU", "MGML"]
    assert len({line.words for line in report.series}) == 2


def mapped(unit, slope, intercept, *, strip, kind=None):
    def change(_, dataset):
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = unit, "UCUM", unit
        item = Dataset()
        item.RealWorldValueSlope, item.RealWorldValueIntercept = slope, intercept
        item.RealWorldValueFirstValueMapped, item.RealWorldValueLastValueMapped = 0, 4000
        for keyword in ("RealWorldValueFirstValueMapped", "RealWorldValueLastValueMapped"):
            item[keyword].VR = "US"
        item.LUTLabel, item.LUTExplanation = "x", "x"
        item.MeasurementUnitsCodeSequence = Sequence([code])
        dataset.RealWorldValueMappingSequence = Sequence([item])
        del dataset.RescaleType
        if kind:
            dataset.RescaleType = kind
        if strip:
            del dataset.RescaleSlope, dataset.RescaleIntercept

    return change


@pytest.mark.parametrize(
    ("unit", "slope", "intercept", "strip", "kind", "wanted"),
    [
        ("[hnsf'U]", 1.0, -1024.0, True, None, "HU"),
        ("[hnsf'U]", 1.0, -1024.0, False, None, "HU"),
        ("mg/mL", 1.0, -1024.0, False, None, "mg/mL"),
        ("mg/mL", 0.05, 0.0, False, None, "raw"),
        ("Doe^Jane", 0.05, 0.0, False, None, "raw"),
        ("mg/mL", 0.05, 0.0, False, "HU", "HU"),
    ],
)
def test_a_real_world_value_map_says_the_unit_where_it_is_the_rescale(series, unit, slope, intercept, strip, kind, wanted):
    _, [(volume, values)] = ingested(series(mapped(unit, slope, intercept, strip=strip, kind=kind)))
    assert volume.unit == wanted
    assert np.abs(values - truth(volume)).max() < 1


@pytest.mark.parametrize("slope", [0.25, 2.5])
def test_a_rescale_at_the_top_of_an_enhanced_object_is_applied(tmp_path, slope):
    (path,) = write_case(tmp_path / "case", "enhanced")
    dataset = pydicom.dcmread(path)
    hu = dataset.pixel_array.astype(float) - 1024
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        del frame.PixelValueTransformationSequence
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = slope, -1024, "HU"
    dataset.PixelData = np.rint((hu + 1024) / slope).astype("<u2").tobytes()
    dataset.save_as(path)
    _, [(volume, values)] = ingested(path.parent)
    assert volume.unit == "HU"
    assert np.abs(values - truth(volume)).max() <= slope / 2 + 1


def test_the_functional_group_counts_before_the_top_level(tmp_path):
    (path,) = write_case(tmp_path / "case", "enhanced")
    dataset = pydicom.dcmread(path)
    dataset.RescaleSlope, dataset.RescaleIntercept = 7, 7
    dataset.save_as(path)
    _, [(volume, values)] = ingested(path.parent)
    assert np.abs(values - truth(volume)).max() < 1


def with_commas(path, *keywords):
    dataset = pydicom.dcmread(path)
    for keyword in keywords:
        text = "\\".join(str(part) for part in np.atleast_1d(np.array(dataset[keyword].value, dtype=object))).replace(".", ",")
        dataset[keyword] = pydicom.DataElement(dataset[keyword].tag, "LO", text)
    written = path.with_suffix(".tmp")
    dataset.save_as(written)
    payload = written.read_bytes()
    for keyword in keywords:
        tag = dataset[keyword].tag
        begin = tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little")
        payload = payload.replace(begin + b"LO", begin + b"DS")
    written.unlink()
    path.write_bytes(payload)


@pytest.mark.parametrize(
    "keywords",
    [
        ("PixelSpacing",),
        ("ImagePositionPatient", "ImageOrientationPatient"),
        ("PixelSpacing", "ImagePositionPatient", "RescaleSlope", "SliceThickness"),
    ],
)
def test_decimal_commas_are_read_and_flagged(tmp_path, keywords):
    for path in write_case(tmp_path / "case", "slope_per_slice"):
        with_commas(path, *keywords)
    assert b"," in next((tmp_path / "case").iterdir()).read_bytes()
    report, [(volume, values)] = ingested(tmp_path / "case")
    assert report.codes() == {}
    assert volume.flags == (IngestCode.DECIMAL_COMMA,)
    assert volume.geometry.spacing_mm[1:] == (1.5, 1.25)
    assert np.abs(values - truth(volume)).max() < 1


@pytest.mark.parametrize(
    ("text", "tag", "values", "unreadable"),
    [
        ("0,5\\0,5", 0x00280030, (0.5, 0.5), ""),
        ("1,125\\1,125", 0x00280030, (1.125, 1.125), ""),
        ("-1,024", 0x00281052, (), "-1,024"),
        ("-1024,0", 0x00281052, (-1024.0,), ""),
        ("1,024.5", 0x00281053, (), "1,024.5"),
        ("1,2,3", 0x00281053, (), "1,2,3"),
        ("abc", 0x00281053, (), "abc"),
        (" 1.5 ", 0x00281053, (1.5,), ""),
        ("", 0x00281053, (), ""),
    ],
)
def test_numbers_are_read_or_named_and_never_guessed(tmp_path, text, tag, values, unreadable):
    dataset = Dataset()
    dataset.add_new(tag, "LO", text)
    dataset.save_as(tmp_path / "x", implicit_vr=True, little_endian=True)
    found = read_numbers(pydicom.dcmread(tmp_path / "x", force=True), tag)
    assert (found.values, found.unreadable) == (values, unreadable)


@pytest.mark.parametrize(("keyword", "text"), [("PixelSpacing", "wide\\1"), ("RescaleSlope", "one"), ("RescaleIntercept", "-1,024")])
def test_what_is_no_number_is_said_to_be_none_and_not_to_be_missing(tmp_path, keyword, text):
    for path in write_case(tmp_path / "case", "regular"):
        dataset = pydicom.dcmread(path)
        dataset[keyword] = pydicom.DataElement(dataset[keyword].tag, "LO", text)
        dataset.save_as(path)
        tag = dataset[keyword].tag
        begin = tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little")
        path.write_bytes(path.read_bytes().replace(begin + b"LO", begin + b"DS"))
    report, volumes = ingested(tmp_path / "case")
    assert (report.codes(), volumes) == ({"UNREADABLE_NUMBER": 14}, [])
    assert keyword in report.files[0].evidence
    assert text.replace("\\", "\\\\\\\\") in report.files[0].evidence
