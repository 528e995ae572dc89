"""Laterality and landmarks survive every way through the package, for all 48 orientations of an anatomy."""

from __future__ import annotations

import itertools
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import torch

from data_contracts import StoreManifest, Task, load_record
from medkd.dicom.confidentiality.publish import DeidentifyRequest, deidentify_folder
from medkd.dicom.ingest import IngestRequest, ingest
from medkd.phantom.dicom_faults import write_case
from medkd.phantom.faulty_scan import VARIANTS
from medkd.storage.store import Store
from medkd.volumes.orientation import Grid, ras_affine, read_nifti
from medkd.volumes.resample import align

#: All ways in which columns, rows and slices can run along the axes of the patient: 6 permutations times 8 signs.
ORIENTATIONS = [(order, signs) for order in itertools.permutations(range(3)) for signs in itertools.product((1, -1), repeat=3)]
SHAPE, SPACING_MM = (7, 34, 38), (3.0, 1.5, 1.25)
#: A landmark in the patient's left, front, upper part (LPS mm), and the centre.
LANDMARK_LPS_MM = np.array([9.0, -6.0, 4.5])


def write_oriented(folder: Path, order, signs) -> np.ndarray:
    """Write a series whose only bright voxel is nearest to the landmark, and return that voxel's exact position (LPS mm)."""
    template = pydicom.dcmread(write_case(folder / "template", "regular", VARIANTS[0])[0])
    for path in (folder / "template").iterdir():
        path.unlink()
    directions = np.eye(3)[list(order)] * np.array(signs)[:, None]  # rows: along slices, rows, columns
    steps = directions * np.array(SPACING_MM)[:, None]
    origin = -((np.array(SHAPE) - 1) / 2) @ steps
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij"), -1) @ steps + origin
    nearest = np.unravel_index(np.linalg.norm(grid - LANDMARK_LPS_MM, axis=-1).argmin(), SHAPE)
    values = np.full(SHAPE, 24, dtype="<u2")
    values[nearest] = 3000
    series = folder / "series"
    series.mkdir()
    for place in range(SHAPE[0]):
        template.SOPInstanceUID = template.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{place + 1}"
        template.ImagePositionPatient = [f"{v:.6f}" for v in grid[place, 0, 0]]
        template.ImageOrientationPatient = [*directions[2].tolist(), *directions[1].tolist()]
        template.Rows, template.Columns = SHAPE[1:]
        template.PixelData = values[place].tobytes()
        template.save_as(series / f"{place}.dcm")
    return grid[nearest]


def brightest(values, affine) -> np.ndarray:
    """Return the position at which an array [i, j, k] with an affine is brightest."""
    index = np.unravel_index(np.asarray(values).argmax(), np.asarray(values).shape)
    return (np.asarray(affine) @ [*index, 1])[:3]


@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
def test_a_landmark_keeps_its_place_and_side(tmp_path, order, signs):
    truth = write_oriented(tmp_path, order, signs)
    assert truth[0] > 0  # LPS: the patient's left
    out = tmp_path / "store"
    ingest(IngestRequest(tmp_path / "series", out, nifti=True), secret=b"k")
    (volume,) = load_record(out / "manifest.json", StoreManifest).volumes
    values = Store(out).read_tensors(volume.array)["volume"]
    assert brightest(values, volume.geometry.affine_lps_mm) == pytest.approx(truth, abs=1e-4)
    # NIfTI: RAS, so left is negative.
    (path,) = (out / "nifti").iterdir()
    image = nibabel.load(path)
    place = brightest(image.get_fdata(), image.affine)
    assert place == pytest.approx(truth * [-1, -1, 1], abs=1e-3)
    assert place[0] < 0
    # Read back as our importer does.
    canonical, grid = read_nifti(path)
    assert brightest(canonical, grid.affine_lps_mm) == pytest.approx(truth, abs=1e-3)
    # MONAI's tensor with its affine (RAS), brought to RAS axes by MONAI, and back.
    from monai.data import MetaTensor
    from monai.transforms import Orientation

    tensor = MetaTensor(values.permute(2, 1, 0)[None].float(), affine=torch.as_tensor(ras_affine(volume.geometry)))
    turned = Orientation(axcodes="RAS", labels=(("L", "R"), ("P", "A"), ("I", "S")))(tensor)
    assert brightest(turned[0].numpy(), turned.affine.numpy()) == pytest.approx(truth * [-1, -1, 1], abs=1e-3)
    assert torch.diagonal(turned.affine)[:3].min() > 0
    # The grid of a network, and an answer brought back to the study's own voxels.
    alignment = align(
        Grid(volume.geometry.shape, np.asarray(volume.geometry.affine_lps_mm)),
        Task(kind="segmentation", classes=("a", "b"), image_size=(8, 8, 8)),
    )
    seen = alignment.to_network(values)
    assert brightest(seen, alignment.network.affine_lps_mm) == pytest.approx(truth, abs=1e-4)
    assert torch.equal(alignment.to_source(seen[None])[0], values.float())


def test_de_identification_moves_nothing(tmp_path):
    truth = write_oriented(tmp_path, (2, 0, 1), (-1, 1, -1))
    deidentify_folder(DeidentifyRequest(tmp_path / "series", tmp_path / "out"), secret=b"k")
    ingest(IngestRequest(tmp_path / "out", tmp_path / "store"), secret=b"k")
    (volume,) = load_record(tmp_path / "store" / "manifest.json", StoreManifest).volumes
    values = Store(tmp_path / "store").read_tensors(volume.array)["volume"]
    assert brightest(values, volume.geometry.affine_lps_mm) == pytest.approx(truth, abs=1e-4)
