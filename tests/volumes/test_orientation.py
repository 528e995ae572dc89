from __future__ import annotations

import itertools

import nibabel
import numpy as np
import pytest
import torch

from data_contracts import Geometry, VolumeRef
from medkd.storage.store import Store
from medkd.volumes.orientation import ras_affine, write_nifti


def signed_permutations():
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            axes = np.zeros((3, 3))
            for column, (axis, sign) in enumerate(zip(order, signs, strict=True)):
                axes[axis, column] = sign
            yield axes


def geometry_of(axes, shape=(3, 4, 5), spacing=(4.0, 2.0, 1.0)):
    affine = np.eye(4)
    affine[:3, :3] = axes * np.array(spacing)
    affine[:3, 3] = (-11.0, 7.0, 30.0)
    return Geometry(shape=shape, affine_lps_mm=tuple(map(tuple, affine.tolist())), spacing_mm=spacing, residual_mm=0.0)


@pytest.mark.parametrize("axes", list(signed_permutations()))
def test_nifti_says_the_same_place_in_all_48_orientations(axes, tmp_path):
    geometry = geometry_of(axes)
    store = Store(tmp_path)
    values = torch.arange(60, dtype=torch.int16).reshape(3, 4, 5)
    volume = VolumeRef(
        array=store.write_tensors("v.safetensors", {"volume": values}),
        geometry=geometry, unit="raw", modality="MR", patient_key="p", study_key="t", series_key="s",
    )  # fmt: skip
    image = nibabel.load(write_nifti(store, volume, tmp_path / "v.nii.gz"))
    for index in [(0, 0, 0), (2, 1, 3), (1, 3, 4)]:
        x, y, z = geometry.position_lps_mm(*index)
        ras = image.affine @ [index[2], index[1], index[0], 1]
        assert ras[:3] == pytest.approx((-x, -y, z), abs=1e-4)
        assert image.get_fdata()[index[2], index[1], index[0]] == values[index]
    assert np.linalg.det(ras_affine(geometry)) != 0


def test_the_header_names_nobody(tmp_path):
    store = Store(tmp_path)
    geometry = geometry_of(np.eye(3))
    volume = VolumeRef(
        array=store.write_tensors("v.safetensors", {"volume": torch.zeros(3, 4, 5)}),
        geometry=geometry, unit="raw", modality="MR", patient_key="p", study_key="t", series_key="s",
    )  # fmt: skip
    header = nibabel.load(write_nifti(store, volume, tmp_path / "v.nii.gz")).header
    assert bytes(header["descrip"]).strip(b"\0") == b""
