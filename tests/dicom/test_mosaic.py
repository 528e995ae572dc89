"""Mosaics are cut where the maker's header verifies how, and nowhere else."""

from __future__ import annotations

import struct

import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from data_contracts import Action
from medkd.phantom.dicom_faults import write_case
from medkd.phantom.faulty_scan import TIME_STEP_HU, hounsfield_at
from tests.dicom.voxels import ingested, offsets

TILE, TILES = (18, 22), 7


TILE, TILES = (18, 22), 7


def csa(values, second=True):
    """Return a CSA header, of either format, of named values."""
    body = b""
    for name, parts in values.items():
        texts = [str(part).encode() + b"\0" for part in parts]
        body += struct.pack("<64si4siii", name.encode(), len(texts), b"FD\0\0", 0, len(texts), 77)
        for text in texts:
            length = len(text) if second else len(text) + len(next(iter(values.values())))
            body += struct.pack("<4i", length, len(text), 77, 0) + text + bytes(-len(text) % 4)
    head = b"SV10\4\3\2\1" if second else b""
    return head + struct.pack("<II", len(values), 77) + body


def mosaic(folder, *, times=2, normal=1.0, strip=(), protocol=None, image=None, second=True, number=True, compress=False):
    """Write mosaics of :data:`TILES` slices whose values are the field; ``normal`` is the way in which tiles follow one another."""
    (folder).mkdir(parents=True)
    mould = pydicom.dcmread(write_case(folder.parent / "mould", "regular")[0])
    across = 3
    tile_first = np.array([-12.0, 5.0, 40.0])
    rows, columns = np.meshgrid(np.arange(TILE[0]), np.arange(TILE[1]), indexing="ij")
    for time in range(times):
        dataset = mould
        picture = np.zeros((TILE[0] * across, TILE[1] * across))
        for k in range(TILES):
            points = np.stack([tile_first[0] + columns * 1.25, tile_first[1] + rows * 1.5, np.full(rows.shape, 40.0 + 4 * k * normal)], -1)
            top, left = k // across * TILE[0], k % across * TILE[1]
            picture[top : top + TILE[0], left : left + TILE[1]] = hounsfield_at(points) + 1024 + TIME_STEP_HU * time
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.Modality, dataset.ImageType = "MR", ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
        dataset.Rows, dataset.Columns = picture.shape
        dataset.PixelData = np.rint(picture).astype("<u2").tobytes()
        dataset["PixelData"].VR = "OW"
        dataset.PixelSpacing, dataset.ImageOrientationPatient = [1.5, 1.25], [1, 0, 0, 0, 1, 0]
        corner = tile_first - np.array([1.25 * TILE[1] * (across - 1) / 2, 1.5 * TILE[0] * (across - 1) / 2, 0])
        dataset.ImagePositionPatient, dataset.SpacingBetweenSlices = corner.tolist(), 4
        dataset.AcquisitionNumber = time + 1
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.4.{time + 1}"
        if number:
            dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", TILES)
        values = {"NumberOfImagesInMosaic": [TILES], "SliceNormalVector": [0.0, 0.0, normal], **(image or {})}
        values = {name: parts for name, parts in values.items() if name not in strip}
        block = dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
        block.add_new(0x10, "OB", csa(values, second) + b"\0" * (len(csa(values, second)) % 2))
        if protocol:
            centre = tile_first + np.array([1.25 * TILE[1] / 2, 1.5 * TILE[0] / 2, 0])
            lines = [
                f"sSliceArray.asSlice[{k if protocol > 0 else TILES - 1 - k}].sPosition.d{axis} = {value}"
                for k in range(TILES)
                for axis, value in zip(
                    ("Sag", "Cor", "Tra"), centre + np.array([0, 0, 4.0 * k * normal * np.sign(protocol) ** 2]), strict=True
                )
            ]
            text = "### ASCCONV BEGIN ###\n" + "\n".join(lines) + "\n### ASCCONV END ###"
            block.add_new(0x20, "OB", text.encode() + b"\0" * (len(text) % 2))
        if "SpacingBetweenSlices" in strip:
            del dataset.SpacingBetweenSlices
        if compress:
            dataset.compress(RLELossless, generate_instance_uid=False)
        dataset.save_as(folder / f"M{time}.dcm", enforce_file_format=True)
    return folder


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"normal": -1.0},
        {"second": False},
        {"number": False},
        {"compress": True},
        {"protocol": 1},
        {"protocol": -1, "normal": -1.0},
        {"protocol": 1, "strip": ("SpacingBetweenSlices",)},
        {"times": 1},
    ],
)
def test_mosaics_are_cut_into_slices_where_they_belong(tmp_path, how):
    report, volumes = ingested(mosaic(tmp_path / "in", **how))
    assert report.codes() == {}
    times = how.get("times", 2)
    assert offsets(volumes) == list(range(times))
    for volume, _ in volumes:
        assert volume.geometry.shape == (TILES, *TILE)
        low = min(volume.geometry.position_lps_mm(0, 0, 0)[2], volume.geometry.position_lps_mm(TILES - 1, 0, 0)[2])
        assert low == pytest.approx(40.0 if how.get("normal", 1) > 0 else 40.0 - 4 * (TILES - 1))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"strip": ("SliceNormalVector",)}, "SliceNormalVector"),
        ({"strip": ("SpacingBetweenSlices",)}, "SpacingBetweenSlices"),
        ({"image": {"SliceNormalVector": [0.0, 1.0, 0.0]}}, "one normal"),
        ({"image": {"ProtocolSliceNumber": [6]}}, "ProtocolSliceNumber"),
        ({"protocol": 1, "image": {"SliceNormalVector": [0.0, 0.0, -1.0]}}, "contradict"),
        ({"number": False, "strip": ("NumberOfImagesInMosaic",)}, "NumberOfImagesInMosaic"),
    ],
)
def test_mosaics_whose_order_is_not_proved_are_refused_as_such(tmp_path, how, said):
    for every in (None, Action.REPAIR):
        folder = tmp_path / "in"
        report, volumes = ingested(mosaic(folder, **how) if every is None else folder, every)
        assert (report.codes(), volumes) == ({"MOSAIC": 2}, [])
        assert said in report.files[0].evidence
