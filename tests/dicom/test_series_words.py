"""What is said of a series tells it from others and names nobody."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import Dataset

from data_contracts import Geometry, StoreManifest, load_record
from medkd.dicom.ingest import IngestRequest, ingest
from medkd.dicom.series_words import acquisition_words, plane_of
from medkd.phantom.dicom_faults import write_case
from medkd.phantom.faulty_scan import find_variant


def ingested(tmp_path, *, nifti=False):
    report = ingest(IngestRequest(tmp_path / "in", tmp_path / "store", nifti=nifti), secret=b"k")
    return report, load_record(tmp_path / "store" / "manifest.json", StoreManifest)


@pytest.mark.parametrize("name", ["axial", "coronal"])
def test_the_plane_and_the_key_are_said_and_in_the_name_of_the_nifti(tmp_path, name):
    write_case(tmp_path / "in", "regular", find_variant(name))
    report, manifest = ingested(tmp_path, nifti=True)
    assert [plane_of(volume.geometry) for volume in manifest.volumes] == [name]
    (line,) = report.series
    rows = "x".join(map(str, line.shape))
    assert line.words.startswith(f"CT {name}, {rows.replace('x', ' x ')}, ")
    assert [path.name for path in (tmp_path / "store" / "nifti").iterdir()] == [f"ct-{name}-{rows}-{line.series_key}.nii.gz"]


@pytest.mark.parametrize(
    ("row", "column", "plane"),
    [
        ((0, -1, 0), (1, 0, 0), "axial"),
        ((0, 0, -1), (1, 0, 0), "coronal"),
        ((0, 0, -1), (0, 1, 0), "sagittal"),
        ((0, -0.6, -0.8), (1, 0, 0), "coronal"),
    ],
)
def test_a_plane_is_known_by_its_normal_whichever_way_it_is_turned(row, column, plane):
    normal = np.cross(row, column)
    lines = [(float(n), float(r), float(c), 0.0) for n, r, c in zip(normal, row, column, strict=True)]
    affine = (*lines, (0.0, 0.0, 0.0, 1.0))
    for flip in (1.0, -1.0):
        turned = tuple((flip * a, b, c, d) for a, b, c, d in affine)
        assert plane_of(Geometry(shape=(3, 4, 5), affine_lps_mm=turned, spacing_mm=(1.0, 1.0, 1.0), residual_mm=0.0)) == plane


def test_time_points_of_a_series_differ_in_words(tmp_path):
    write_case(tmp_path / "in", "two_time_points")
    report, manifest = ingested(tmp_path)
    assert len({line.words for line in report.series}) == len(report.series) == 2
    assert sorted(one.acquisition for one in manifest.series) == sorted(line.words.split(" mm, ")[1] for line in report.series)


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"SeriesDescription": "T1post", "ScanningSequence": "SE", "EchoTime": 9.5}, "T1, spin echo, TE 9.5 ms"),
        ({"ProtocolName": "ax FLAIR_reg", "ScanningSequence": ["SE", "IR"]}, "FLAIR, spin echo, inversion recovery"),
        ({"SeriesDescription": "Jane Doe called at T2* 14:30"}, "T2*"),
        ({"SeriesDescription": "Tof for Dr Adcock", "PatientName": "Tof^Anna"}, ""),
        ({"ContrastBolusAgent": "10 ml given by Dr Doe"}, "with contrast"),
        ({"ContrastBolusAgent": "NONE"}, ""),
        ({"ImageType": ["DERIVED", "PRIMARY", "ADC", "DOE"], "DiffusionBValue": 800.0}, "adc, b 800"),
        ({"ConvolutionKernel": "B30f"}, "kernel B30f"),
        ({"ConvolutionKernel": "Doe's own"}, ""),
        ({"ScanningSequence": "DOE"}, ""),
    ],
)
def test_only_codes_numbers_and_known_words_are_said(attributes, words):
    header = Dataset()
    for keyword, value in attributes.items():
        setattr(header, keyword, value)
    assert acquisition_words(header, header, "") == words


@pytest.mark.parametrize(
    ("acquisition_key", "words"),
    [("EchoTime=4.90", "TE 4.9 ms"), ("TemporalPositionIdentifier=2", "time point 2"), ("StackID=Doe", ""), ("AcquisitionTime=101112", "")],
)
def test_a_moment_is_a_number_and_never_a_time_of_day(acquisition_key, words):
    assert acquisition_words(Dataset(), Dataset(), acquisition_key) == words
