"""Readers in common use, asked to read a folder: run in ``.venv-bench``, which has them; imports nothing of medkd.

``python peer_readers.py`` takes lines ``READER<tab>FOLDER<tab>OUT.npz`` on standard input and answers each with ``ok N`` or ``raised TYPE``.
The file holds ``values_K`` [i, j, k] and ``affine_K`` (i, j, k, 1) → LPS mm.
"""

from __future__ import annotations

import glob
import logging
import os
import subprocess
import sys
import tempfile
import warnings

import numpy as np

LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def simpleitk(folder):
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    found = []
    for series in sitk.ImageSeriesReader.GetGDCMSeriesIDs(folder):
        image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(folder, series))
        direction = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
        affine = np.eye(4)
        affine[:3, :3], affine[:3, 3] = direction[:, ::-1], image.GetOrigin()
        found.append((sitk.GetArrayFromImage(image), affine))
    return found


def _monai(reader, folder):
    values, meta = reader.get_data(reader.read(folder))
    return [(np.squeeze(np.asarray(values)), LPS_RAS @ np.asarray(meta["affine"], dtype=float))]


def monai_pydicom(folder):
    from monai.data import PydicomReader

    return _monai(PydicomReader(), folder)


def monai_itk(folder):
    from monai.data import ITKReader

    return _monai(ITKReader(), folder)


def naive_pydicom(folder):
    """The loop of a hundred tutorials: sort by z, stack, spacing from the first two."""
    import pydicom

    slices = [pydicom.dcmread(path) for path in sorted(glob.glob(os.path.join(folder, "*")))]
    slices.sort(key=lambda item: float(item.ImagePositionPatient[2]))
    first, second = slices[0], slices[1]
    values = np.stack([item.pixel_array for item in slices]) * float(first.RescaleSlope) + float(first.RescaleIntercept)
    row, column = np.array(first.ImageOrientationPatient[3:], float), np.array(first.ImageOrientationPatient[:3], float)
    affine = np.eye(4)
    affine[:3, 0] = np.array(second.ImagePositionPatient, float) - np.array(first.ImagePositionPatient, float)
    affine[:3, 1], affine[:3, 2] = row * float(first.PixelSpacing[0]), column * float(first.PixelSpacing[1])
    affine[:3, 3] = first.ImagePositionPatient
    return [(values, affine)]


def _niftis(folder):
    import nibabel

    found = []
    for path in sorted(glob.glob(os.path.join(folder, "*.nii*"))):
        image = nibabel.load(path)
        found.append((np.asarray(image.dataobj), LPS_RAS @ image.affine))
    volumes = []
    for values, affine in found:
        volumes += [(values, affine)] if values.ndim == 3 else [(values[..., index], affine) for index in range(values.shape[3])]
    if not volumes:
        raise RuntimeError("nothing was written")
    return volumes


def dicom2nifti(folder):
    import dicom2nifti as tool

    with tempfile.TemporaryDirectory() as out:
        tool.convert_directory(folder, out, compression=False, reorient=False)
        return _niftis(out)


def dcm2niix(folder):
    with tempfile.TemporaryDirectory() as out:
        program = os.path.join(os.path.dirname(sys.executable), "dcm2niix")
        subprocess.run([program, "-z", "n", "-b", "n", "-o", out, folder], check=True, capture_output=True, timeout=60)
        return _niftis(out)


def highdicom(folder):
    import highdicom as hd
    import pydicom

    series = {}
    for path in sorted(glob.glob(os.path.join(folder, "*"))):
        dataset = pydicom.dcmread(path)
        series.setdefault(dataset.SeriesInstanceUID, []).append((path, dataset))
    found = []
    for files in series.values():
        single = len(files) == 1
        volume = hd.imread(files[0][0]).get_volume() if single else hd.get_volume_from_series([dataset for _, dataset in files])
        found.append((np.asarray(volume.array), np.asarray(volume.affine)))
    return found


READERS = {
    "SimpleITK": simpleitk,
    "MONAI PydicomReader": monai_pydicom,
    "MONAI ITKReader": monai_itk,
    "naive pydicom": naive_pydicom,
    "dicom2nifti": dicom2nifti,
    "dcm2niix": dcm2niix,
    "highdicom": highdicom,
}


def main():
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    for line in sys.stdin:
        name, folder, out = line.rstrip("\n").split("\t")
        try:
            volumes = READERS[name](folder)
            arrays = {f"values_{k}": np.asarray(values, dtype=np.float32) for k, (values, _) in enumerate(volumes)}
            np.savez(out, **arrays, **{f"affine_{k}": affine for k, (_, affine) in enumerate(volumes)})
            print(f"\n@@ ok {len(volumes)}", flush=True)
        except Exception as error:
            print(f"\n@@ raised {type(error).__name__}", flush=True)


if __name__ == "__main__":
    main()
