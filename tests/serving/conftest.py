from __future__ import annotations

import shutil

import pytest
import torch

from data_contracts import NetworkSpec, Task
from tests.registered import register_tiny

SEGMENTS = Task(kind="segmentation", classes=("background", "lesion"))
CLASSIFIES = Task(kind="classification", classes=("benign", "malignant"))


def marks_a_few_voxels(network):
    """Shift the head so that one voxel of thirty of a picture of noise is marked."""
    image = torch.randn(4, 1, 64, 64, generator=torch.Generator().manual_seed(0)).cumsum(2).cumsum(3) / 100
    with torch.no_grad():
        network.eval()
        logits = network(image)
        network.head.bias[1] -= (logits[:, 1] - logits[:, 0]).quantile(0.97)


@pytest.fixture(scope="module")
def served_run(tmp_path_factory):
    """Return a run's folder whose registry holds a version that segments, `cut`, and one that classifies, `sort`."""
    folder = tmp_path_factory.mktemp("run")
    network = NetworkSpec(builder="unet", options={"channels": (4, 8)})
    register_tiny(folder, SEGMENTS, network, name="cut", prepare=marks_a_few_voxels)
    register_tiny(folder, CLASSIFIES, NetworkSpec(builder="resnet", options={"channels": (4, 4, 4, 4)}), name="sort")
    return folder


@pytest.fixture(scope="module")
def study_zip(tmp_path_factory):
    """Return a zip of one study of the phantom: twelve CT slices and a segmentation, as an archive exports them."""
    from medkd.phantom.dicom_studies import write_phantom_dicom

    folder = tmp_path_factory.mktemp("dicom")
    _, (study,) = write_phantom_dicom(folder / "all", studies=1, faults=False)
    return shutil.make_archive(str(folder / "study"), "zip", study.folder)
