from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import ContractError, FileOutcome, IngestCode, IngestedSeries, IngestReport, Outcome, SeriesRecord, read_record


def test_a_refused_file_has_its_reason_and_an_accepted_one_has_none():
    with pytest.raises(ValueError, match="expected a code"):
        FileOutcome(path="a", outcome="quarantined")
    with pytest.raises(ValueError, match="expected a code"):
        FileOutcome(path="a", outcome="accepted", code=IngestCode.NOT_DICOM)


def report(*outcomes):
    files = tuple(
        FileOutcome(path=f"{n}.dcm", outcome=Outcome.ACCEPTED if code is None else Outcome.QUARANTINED, code=code)
        for n, code in enumerate(outcomes)
    )
    return IngestReport(files=files, series=())


def test_every_file_is_counted_once_and_the_commonest_reason_comes_first():
    ledger = report(None, IngestCode.NOT_DICOM, IngestCode.GANTRY_TILT, IngestCode.GANTRY_TILT, IngestCode.BAD_VR)
    assert [ledger.count(outcome) for outcome in Outcome] == [1, 4, 0]
    assert list(ledger.codes().items()) == [("GANTRY_TILT", 2), ("BAD_VR", 1), ("NOT_DICOM", 1)]
    counts = ledger.summary()["ingest"]
    assert counts["found"] == counts["accepted"] + counts["quarantined"] + counts["ignored"] == 5


def test_a_series_without_coordinates_is_written_as_earlier_versions_wrote_it_and_one_with_them_comes_back():
    payload = (Path(__file__).parent / "golden" / "series_1.json").read_bytes().strip()
    kept = read_record(payload, SeriesRecord)
    assert kept.coordinates == {}
    assert kept.canonical_json() == payload
    coordinates = {"DiffusionBValue": 1000, "DiffusionGradientOrientation": (0.6, 0.8, 0.0), "ConvolutionKernel": "B30f"}
    assert read_record(kept.model_copy(update={"coordinates": coordinates}).canonical_json(), SeriesRecord).coordinates == coordinates
    with pytest.raises(ContractError, match="coordinates"):
        read_record(payload.replace(b'"flags"', b'"coordinates":{"EchoTime":[1,2]},"flags"'), SeriesRecord)


def test_every_line_of_the_summary_has_coordinates():
    line = IngestedSeries(volume="v", first_file="a.dcm", residual_mm=0.0, shape=(1, 2, 3))
    lines = (line, line.model_copy(update={"coordinates": {"EchoTime": 4.6}}))
    assert [one["coordinates"] for one in IngestReport(files=(), series=lines).summary()["series"]] == [{}, {"EchoTime": 4.6}]


def test_the_summary_names_each_file_with_its_code_and_what_was_met_in_it():
    kept = read_record((Path(__file__).parent / "golden" / "ingest_report_1.json").read_bytes(), IngestReport)
    met = kept.files[0].model_copy(update={"findings": (IngestCode.MONOCHROME1,)})
    said = kept.model_copy(update={"files": (met, *kept.files[1:])}).summary()
    assert [(one["path"], one["code"], one["findings"]) for one in said["files"]] == [
        ("a.dcm", None, ["MONOCHROME1"]),
        ("b.dcm", "MISSING_SLICES", []),
    ]
    assert said["series"][0]["volume"] == "volumes/s1.safetensors"
