"""Standardised uptake values from what they mean: a dose that is spread evenly over a body of 1 g/ml has the value 1 everywhere.

Nothing here uses the code's own formula: activity is made of the dose, the patient's mass and the decay, and must come back as the multiple of it
that was drawn into each slice.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage

from data_contracts import Action, IngestCode, IngestPolicy, StoreManifest, load_record
from medkd.dicom.ingest import IngestRequest, ingest
from medkd.dicom.suv import SUV_BODY_WEIGHT
from medkd.storage.store import Store

DOSE_BQ, WEIGHT_KG, HALF_LIFE = 350e6, 72.5, 6586.2  # fluorine-18
SCAN = datetime(2025, 3, 4, 0, 25, 30)
UPTAKE = (1.0, 2.5, 4.0, 0.5)


def spread(decayed_seconds):
    """Return the activity, Bq/ml, of the dose spread evenly after so many seconds: half of it is gone after a half-life."""
    return DOSE_BQ * 0.5 ** (decayed_seconds / HALF_LIFE) / (WEIGHT_KG * 1000)


def slices(folder, activity, change=None, *, injected=SCAN - timedelta(seconds=3600), series=SCAN, acquired=SCAN):
    """Write a PET series whose slices hold multiples of an activity, each with a slope of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    for index, uptake in enumerate(UPTAKE):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID, dataset.SOPInstanceUID = PositronEmissionTomographyImageStorage, f"1.2.{index + 1}"
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.PatientID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = "P", "1.3", "1.4", "1.5"
        dataset.Modality, dataset.ImageType, dataset.PatientWeight = "PT", ["ORIGINAL", "PRIMARY"], WEIGHT_KG
        dataset.CorrectedImage, dataset.DecayCorrection, dataset.Units = ["NORM", "ATTN", "DECY"], "START", "BQML"
        dataset.SeriesDate, dataset.SeriesTime = f"{series:%Y%m%d}", f"{series:%H%M%S}"
        dataset.AcquisitionDate, dataset.AcquisitionTime = f"{acquired:%Y%m%d}", f"{acquired:%H%M%S.%f}"
        tracer = Dataset()
        tracer.RadionuclideTotalDose, tracer.RadionuclideHalfLife = DOSE_BQ, HALF_LIFE
        tracer.RadiopharmaceuticalStartTime = f"{injected:%H%M%S}"
        dataset.RadiopharmaceuticalInformationSequence = [tracer]
        dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0.0, 0.0, 3.0 * index], [1, 0, 0, 0, 1, 0]
        dataset.PixelSpacing, dataset.Rows, dataset.Columns = [4.0, 4.0], 6, 5
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit = 15
        stored = generator.integers(20000, 30000, (6, 5)).astype(np.uint16)
        stored[0, 0] = 25000
        dataset.RescaleSlope, dataset.RescaleIntercept = f"{uptake * activity / 25000:.10g}", 0
        dataset.PixelData = stored.tobytes()
        if change is not None:
            change(dataset, tracer)
        dataset.save_as(folder / f"{index}.dcm", enforce_file_format=True)
    return folder


def ingested(folder, out, **actions):
    policy = IngestPolicy(actions={IngestCode[code]: Action(action) for code, action in actions.items()})
    report = ingest(IngestRequest(folder, out, policy), secret=b"k")
    volumes = load_record(out / "manifest.json", StoreManifest).volumes
    return report, volumes[0] if volumes else None


def values_of(tmp_path, volume):
    return Store(tmp_path / "store").read_tensors(volume.array)["volume"].numpy()


def read(tmp_path, activity, change=None, **times):
    folder = slices(tmp_path / "in", activity, change, **times)
    _, volume = ingested(folder, tmp_path / "store")
    return volume, values_of(tmp_path, volume)


def said(volume):
    return json.loads(volume.evidence[IngestCode.SUV_BODY_WEIGHT])


def test_a_dose_spread_evenly_is_1_and_its_multiples_are_what_they_are(tmp_path):
    """The injection is of the evening before the scan: its time is later than the scan's, its day the one before."""
    volume, values = read(tmp_path, spread(3600))
    assert volume.unit == SUV_BODY_WEIGHT
    np.testing.assert_allclose(values[:, 0, 0], UPTAKE, rtol=1e-6)
    stored = [pydicom.dcmread(tmp_path / "in" / f"{index}.dcm") for index in range(4)]
    np.testing.assert_allclose(values, [one.pixel_array * u / 25000 for one, u in zip(stored, UPTAKE, strict=True)], rtol=1e-6)
    assert said(volume)["scan_time_from"] == "series"
    assert said(volume)["decay_seconds"] == 3600


def test_images_that_are_corrected_to_the_injection_are_of_the_whole_dose(tmp_path):
    def to_administration(dataset, tracer):
        del tracer
        dataset.DecayCorrection = "ADMIN"

    volume, values = read(tmp_path, spread(0), to_administration)
    np.testing.assert_allclose(values[:, 0, 0], UPTAKE, rtol=1e-6)
    assert said(volume)["decay_correction"] == "ADMIN"


def test_a_start_with_its_date_is_taken_before_one_without(tmp_path):
    def dated(dataset, tracer):
        del dataset
        tracer.RadiopharmaceuticalStartDateTime = f"{SCAN - timedelta(seconds=5400):%Y%m%d%H%M%S}"

    _, values = read(tmp_path, spread(5400), dated)
    np.testing.assert_allclose(values[:, 0, 0], UPTAKE, rtol=1e-6)


def average_time(duration):
    """Return when, from the beginning of a frame, the activity is what it is on average, s: by numbers, not by the formula."""
    times = np.linspace(0, duration, 200_001)
    activity = 0.5 ** (times / HALF_LIFE)
    mean = np.trapezoid(activity, times) / duration
    return float(np.interp(-mean, -activity, times))


def test_of_a_series_that_was_processed_later_the_scan_time_follows_from_the_frames(tmp_path):
    """The first bed began 300 s after the scan; its frame says when it is on average, from the scan's beginning."""
    bed, duration = SCAN + timedelta(seconds=300), 180.0

    def framed(dataset, tracer):
        del tracer
        dataset.ActualFrameDuration = round(1000 * duration)
        dataset.FrameReferenceTime = f"{1000 * (300 + average_time(duration)):.3f}"

    volume, values = read(tmp_path, spread(3600), framed, series=SCAN + timedelta(days=2), acquired=bed)
    np.testing.assert_allclose(values[:, 0, 0], UPTAKE, rtol=1e-5)
    assert said(volume)["scan_time_from"] == "frame reference time"
    assert said(volume)["decay_seconds"] == pytest.approx(3600, abs=0.01)


def test_without_times_of_frames_the_earliest_acquisition_counts(tmp_path):
    volume, values = read(tmp_path, spread(3600), series=SCAN + timedelta(days=2))
    np.testing.assert_allclose(values[:, 0, 0], UPTAKE, rtol=1e-6)
    assert said(volume)["scan_time_from"] == "earliest acquisition"


def test_the_scan_time_of_ge_comes_before_the_frames(tmp_path):
    def ge(dataset, tracer):
        del tracer
        dataset.private_block(0x0009, "GEMS_PETD_01", create=True).add_new(0x0D, "DT", f"{SCAN:%Y%m%d%H%M%S.00}")

    volume, values = read(tmp_path, spread(3600), ge, series=SCAN + timedelta(days=2), acquired=SCAN + timedelta(seconds=700))
    np.testing.assert_allclose(values[:, 0, 0], UPTAKE, rtol=1e-6)
    assert said(volume)["scan_time_from"] == "GE private"


def philips(element, value):
    def change(dataset, tracer):
        del tracer
        dataset.Units = "CNTS"
        dataset.private_block(0x7053, "Philips PET Private Group", create=True).add_new(element, "DS", f"{value:.10g}")

    return change


def test_counts_are_scaled_by_what_philips_says_of_uptake(tmp_path):
    """Counts are a 1/8th of the uptake: slopes are made for an "activity" of 1/8."""
    volume, values = read(tmp_path, 1 / 8, philips(0x00, 8.0))
    np.testing.assert_allclose(values[:, 0, 0], UPTAKE, rtol=1e-6)
    assert said(volume)["from"] == "CNTS"


def test_counts_are_scaled_to_activity_where_that_is_all_that_philips_says(tmp_path):
    _, values = read(tmp_path, spread(3600) / 40, philips(0x09, 40.0))
    np.testing.assert_allclose(values[:, 0, 0], UPTAKE, rtol=1e-6)


def test_values_that_are_uptake_already_stay_as_they_are(tmp_path):
    def gml(dataset, tracer):
        del tracer
        dataset.Units, dataset.SUVType = "GML", "BW"

    volume, values = read(tmp_path, 1.0, gml)
    np.testing.assert_allclose(values[:, 0, 0], UPTAKE, rtol=1e-6)
    assert volume.unit == SUV_BODY_WEIGHT


def without(keyword):
    def change(dataset, tracer):
        for one in (dataset, tracer):
            if keyword in one:
                delattr(one, keyword)

    return change


def put(**values):
    def change(dataset, tracer):
        for keyword, value in values.items():
            setattr(tracer if keyword.startswith("Radio") else dataset, keyword, value)

    return change


@pytest.mark.parametrize(
    "change",
    [
        without("PatientWeight"),
        without("RadionuclideTotalDose"),
        without("RadionuclideHalfLife"),
        without("RadiopharmaceuticalStartTime"),
        without("RadiopharmaceuticalInformationSequence"),
        without("AcquisitionTime"),
        put(PatientWeight=0),
        put(RadionuclideTotalDose=350),  # in MBq
        put(RadiopharmaceuticalStartDateTime="20250305000000"),  # after the scan
        put(CorrectedImage=["NORM", "DECY"]),
        put(DecayCorrection="NONE"),
        put(Units="CNTS"),
        put(Units="GML", SUVType="LBM"),
        put(Units="PROPCPS"),
    ],
)
def test_what_is_missing_is_named_and_values_stay_as_stored(tmp_path, change):
    folder = slices(tmp_path / "in", spread(3600), change)
    _, volume = ingested(folder, tmp_path / "store")
    assert IngestCode.SUV_INPUTS_MISSING in volume.flags
    assert IngestCode.SUV_BODY_WEIGHT not in volume.flags
    assert volume.unit != SUV_BODY_WEIGHT
    np.testing.assert_allclose(values_of(tmp_path, volume)[:, 0, 0], np.array(UPTAKE) * spread(3600), rtol=1e-6)
    report, _ = ingested(folder, tmp_path / "strict", SUV_INPUTS_MISSING="reject")
    assert set(report.codes()) == {"SUV_INPUTS_MISSING"}
