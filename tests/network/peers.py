"""Archives and senders that tests start: Orthanc, dcmtk's programs, and small DICOM objects to send."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import requests
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def program(name: str) -> str:
    """Return a program of dcmtk, or skip."""
    if shutil.which(name) is None:
        pytest.skip(f"{name} of Debian's package dcmtk is not installed; make system")
    return name


def small_object(study: str, series: str, number: int = 1, syntax: str = ExplicitVRLittleEndian) -> Dataset:
    """Return a CT slice of 16 x 16, one of a regular stack."""
    one = Dataset()
    one.SOPClassUID, one.SOPInstanceUID, one.StudyInstanceUID, one.SeriesInstanceUID = CTImageStorage, generate_uid(), study, series
    one.PatientID, one.PatientName, one.PatientSex, one.PatientBirthDate, one.Modality = "P-17", "Invented^Person", "O", "19700101", "CT"
    one.StudyDate, one.StudyTime, one.StudyID, one.SeriesNumber, one.AccessionNumber = "20250102", "101112", "S1", 1, "A1"
    one.ReferringPhysicianName = ""
    one.FrameOfReferenceUID = "1.2.840.9.9"
    one.InstanceNumber, one.ImagePositionPatient = number, [0, 0, 2.0 * number]
    one.ImageOrientationPatient, one.PixelSpacing, one.SliceThickness = [1, 0, 0, 0, 1, 0], [1, 1], 2
    one.ImageType, one.RescaleSlope, one.RescaleIntercept, one.RescaleType = ["ORIGINAL", "PRIMARY", "AXIAL"], 1, -1024, "HU"
    one.Rows = one.Columns = 16
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 12, 11, 0
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    values = np.random.default_rng(number).integers(900, 1100, (16, 16)).astype("<u2")
    one.PixelData = values.tobytes()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = syntax
    return one


def write_study(folder: Path, objects: int = 6, study: str | None = None) -> list[Path]:
    """Write a study of one series; return its files."""
    folder.mkdir(parents=True, exist_ok=True)
    study, series = study or generate_uid(), generate_uid()
    paths = []
    for number in range(1, objects + 1):
        paths.append(folder / f"IM{number:03d}.dcm")
        small_object(study, series, number).save_as(paths[-1], enforce_file_format=True)
    return paths


def send(folder: Path, port: int, called: str = "MEDKD", *more: str) -> subprocess.CompletedProcess[str]:
    """Send a folder by dcmtk's storescu."""
    command = [program("storescu"), *more, "-aec", called, "127.0.0.1", str(port), "+sd", str(folder)]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)


def wait_for(condition, seconds: float = 10.0):
    """Return what a condition comes to, asked until that is something."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s")


@dataclass(frozen=True)
class Orthanc:
    """A running archive."""

    http: int
    dicom: int
    calls_back: int
    log: Path

    @property
    def web(self) -> str:
        return f"http://127.0.0.1:{self.http}/dicom-web"

    def instances(self) -> int:
        return len(requests.get(f"http://127.0.0.1:{self.http}/instances", timeout=10).json())

    def clear(self) -> None:
        for one in requests.get(f"http://127.0.0.1:{self.http}/studies", timeout=10).json():
            requests.delete(f"http://127.0.0.1:{self.http}/studies/{one}", timeout=10)


@contextmanager
def running_orthanc(folder: Path, **settings: object) -> Iterator[Orthanc]:
    """Start Orthanc with its DICOMweb plugin, storage and database in a folder."""
    binary = next((path for path in (shutil.which("Orthanc"), "/usr/sbin/Orthanc") if path and Path(path).exists()), None)
    plugin = next((path for path in Path("/usr/share/orthanc/plugins").glob("libOrthancDicomWeb.so")), None)
    if binary is None or plugin is None:
        pytest.skip("Debian's packages orthanc and orthanc-dicomweb are not installed; make system")
    http, dicom, back = free_port(), free_port(), free_port()
    configuration = {
        "Name": "test", "StorageDirectory": str(folder / "storage"), "IndexDirectory": str(folder / "storage"),
        "HttpPort": http, "DicomPort": dicom, "DicomAet": "ORTHANC", "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
        "DicomModalities": {"medkd": ["MEDKD", "127.0.0.1", back]}, "DicomAlwaysAllowStore": True, "DicomCheckCalledAet": True,
        "DicomAlwaysAllowFind": True, "DicomAlwaysAllowGet": True, "Plugins": [str(plugin)], "StableAge": 1,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"}, "OverwriteInstances": False, **settings,
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    log = folder / "log.txt"
    with (
        log.open("w") as stream,
        subprocess.Popen([binary, "--verbose", str(folder / "orthanc.json")], stdout=stream, stderr=stream) as process,
    ):
        try:
            wait_for(lambda: _answers(http, process), 30)
            yield Orthanc(http, dicom, back, log)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _answers(port: int, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "Orthanc ended"
    try:
        return requests.get(f"http://127.0.0.1:{port}/system", timeout=1).ok
    except requests.RequestException:
        return False
