"""Make ``tests/foreign/nnunet_2_8_1.zip``: what nnU-Net 2.8.1 itself left of two folds on invented volumes, and its own answer about one of them.

``python -m tests.foreign.make_nnunet_folder`` in a checkout whose ``.venv-bench`` has nnU-Net; the widths are cut to 4, 6 and 8 so that the file is
small. Nothing in it is of a person.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import zipfile
from pathlib import Path

import nibabel
import numpy as np

ROOT = Path(__file__).parents[2]
FILE = Path(__file__).with_name("nnunet_2_8_1.zip")
_CASES = ["blob_000", "blob_001", "blob_002", "blob_003"]


def invented(seed: int, shape: tuple[int, int, int] = (24, 20, 24)) -> tuple[np.ndarray, np.ndarray]:
    """Return a volume [x, y, z] with two bright balls and its labels."""
    generator = np.random.default_rng(seed)
    places = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    image, label = generator.normal(50, 5, shape), np.zeros(shape, np.uint8)
    for value, corner in ((1, (7, 8, 8)), (2, (16, 11, 14))):
        centre = np.array(corner) + generator.integers(-2, 3, 3)
        inside = ((places - centre) ** 2).sum(-1) < 20
        image[inside] += 40 * value
        label[inside] = value
    return image.astype(np.float32), label


def write_raw(work: Path) -> None:
    """Write a raw data set of nnU-Net with its splits."""
    raw = work / "nnUNet_raw" / "Dataset999_Blobs"
    for place in ("imagesTr", "labelsTr"):
        (raw / place).mkdir(parents=True)
    for number, case in enumerate(_CASES):
        image, label = invented(number)
        nibabel.save(nibabel.Nifti1Image(image, np.eye(4)), raw / "imagesTr" / f"{case}_0000.nii.gz")
        nibabel.save(nibabel.Nifti1Image(label, np.eye(4)), raw / "labelsTr" / f"{case}.nii.gz")
    fields = {
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0, "small": 1, "large": 2},
        "numTraining": 4,
        "file_ending": ".nii.gz",
    }
    (raw / "dataset.json").write_text(json.dumps(fields))
    splits = [{"train": _CASES[:2], "val": _CASES[2:]}, {"train": _CASES[2:], "val": _CASES[:2]}]
    (work / "splits.json").write_text(json.dumps(splits))


#: Run in ``.venv-bench``: logits of nnU-Net's own pipeline (preprocessing, windows, mirrorings, both folds) about one volume, on its own voxels.
_ANSWER = """
import sys, numpy, torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
folder, image, out = sys.argv[1:]
predictor = nnUNetPredictor(device=torch.device("cpu"), perform_everything_on_device=False, allow_tqdm=False)
predictor.initialize_from_trained_model_folder(folder, use_folds=(0, 1))
values, properties = SimpleITKIO().read_images([image])
data, _, _ = predictor.configuration_manager.preprocessor_class(verbose=False).run_case_npy(values, None, properties, predictor.plans_manager, predictor.configuration_manager, predictor.dataset_json)
logits = predictor.predict_logits_from_preprocessed_data(torch.from_numpy(numpy.asarray(data)))
network = predictor.network
network.load_state_dict(predictor.list_of_parameters[0])
size = tuple(predictor.configuration_manager.patch_size)
patch = torch.randn(1, 1, *size, generator=torch.Generator().manual_seed(3))
with torch.no_grad():
    plain = network.eval()(patch)
numpy.savez_compressed(out, preprocessed=numpy.asarray(data), logits=logits.float().numpy(), patch=patch.numpy(), patch_logits=plain.numpy())
"""


def main() -> None:
    """Train, answer, pack."""
    python = ROOT / ".venv-bench" / "bin" / "python"
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        write_raw(work)
        peer = ROOT / "tests" / "benchmarks" / "peer_nnunet.py"
        subprocess.run([python, peer, work, "--minutes", "0.3", "--folds", "0", "1", "--features", "4", "6", "8"], check=True)
        trained = work / "nnUNet_results" / "Dataset999_Blobs" / "nnUNetTrainer__nnUNetPlans__3d_fullres"
        # One patch and a half along the slices, so that there are two windows that overlap as both codes lay them.
        image = work / "image.nii.gz"
        nibabel.save(nibabel.Nifti1Image(invented(9, (24, 20, 36))[0], np.eye(4)), image)
        environment = {place: str(work / place) for place in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")}
        subprocess.run([python, "-c", _ANSWER, trained, image, work / "answer.npz"], check=True, env=environment)
        with zipfile.ZipFile(FILE, "w", compression=zipfile.ZIP_DEFLATED) as packed:
            packed.write(image, "image.nii.gz")
            packed.write(work / "answer.npz", "answer.npz")
            for place in ("plans.json", "dataset.json", "fold_0/checkpoint_final.pth", "fold_1/checkpoint_final.pth"):
                packed.write(trained / place, f"Dataset999_Blobs/{trained.name}/{place}")


if __name__ == "__main__":
    main()
