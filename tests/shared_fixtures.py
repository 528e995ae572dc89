"""Fixtures shared by all tests: tiny networks with seeded weights, batches, and what this machine has. ``conftest.py`` brings them."""

from __future__ import annotations

import copy
import functools
import importlib
import os
import pkgutil
import shutil
from pathlib import Path

import flows  # sets the environment: nothing looks outside

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["MEDKD_SECRET"] = "tests"
# Ten seconds of an embedded Prefect in each test that runs a command: those that are about it ask for it.
os.environ["MEDKD_ENGINE"] = "none"

import hypothesis
import pytest
import torch
from jaxtyping import install_import_hook

# The shape vocabulary in the signatures of these packages is checked on every call while tests run.
with install_import_hook(
    ["medkd.attribution", "medkd.distillation", "medkd.measures", "medkd.trace", "medkd.targets", "medkd.knowledge"],
    "shape_checker.check_shapes",
):
    from medkd.catalogue import CATALOGUES

    for _folder in CATALOGUES.values():
        for _name in _folder.names():
            _folder.load(_name)
    # While lines are counted: what a test that is not counted imports first would count as never reached.
    for _package in ("data_contracts", "medkd.attribution", "medkd.distillation", "medkd.measures"):
        for _module in pkgutil.iter_modules(importlib.import_module(_package).__path__):
            if _module.name != "__main__":
                importlib.import_module(f"{_package}.{_module.name}")

from data_contracts import NetworkSpec
from medkd.models._build import build_network
from medkd.phantom.dicom_studies import write_phantom_dicom
from medkd.storage.workspace import local_workspace
from medkd.trace import Sample, layer_map_of

torch.set_num_threads(1)
# A machine that does other work beside is no fault of what is generated: how long that takes is not asked.
hypothesis.settings.register_profile("busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("busy")
CLASSIFIER = NetworkSpec(builder="resnet", options={"channels": (4, 4, 6, 8)})
SEGMENTER = NetworkSpec(builder="unet", options={"channels": (4, 8, 8)})
#: With a cell per voxel, so that what holds of a grid of answers is asked of detectors too; coarser cells have tests of their own.
DETECTOR = NetworkSpec(builder="detector", options={"channels": (4, 8, 8), "stride": 1, "head_features": 4})
#: What makes a recipe of the phantom small enough to be trained within a test.
SMALL = {
    "data.teacher": 64, "data.teacher_validation": 32, "data.student": 64, "data.test": 32, "data.debiased": 32, "data.reversed": 32,
    "data.marker_pairs": 8, "seeds": [0], "teacher.fit.epochs": 1, "student.fit.epochs": 2,
    "student.network.options.channels": [4, 4, 4, 4], "teacher.network.options.channels": [4, 4, 4, 4], "teacher.gate.enforce": False,
}  # fmt: skip


@pytest.fixture(params=["classification", "segmentation"])
def task(request):
    return request.param


@pytest.fixture
def space():
    """Return the number of spatial dimensions; the properties override it to run over pictures and volumes."""
    return 2


@pytest.fixture
def make_network(task, space):
    """Return a maker of small networks for the task, by seed and number of classes; running statistics are not trivial."""
    return lambda seed=0, classes=2: copy.deepcopy(network_of(task, space, seed, classes))


@functools.cache
def network_of(task, space, seed, classes):
    """Return the network that others are copied from: copying takes a tenth of building, and thousands are asked for."""
    known = {"classification": CLASSIFIER, "segmentation": SEGMENTER, "detection": DETECTOR}[task]
    spec = known.model_copy(update={"out_channels": classes, "spatial_dims": space})
    network = build_network(spec, seed=seed)
    generator = torch.Generator().manual_seed(seed + 100)
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
    return network if task == "classification" else balanced(network, space)


def balanced(network, space):
    """Shift the head's bias until all classes have the same mean logit on noise: each is then predicted somewhere."""
    image = torch.rand(2, 1, *(16,) * space, generator=torch.Generator().manual_seed(9)) * 2 - 1
    with torch.no_grad():
        mean = network.eval()(image).transpose(0, 1).flatten(1).mean(1)
        network.get_submodule(layer_map_of(network).head).bias -= mean - mean.mean()
    return network.train()


@pytest.fixture
def make_sample(task, space):
    """Return a maker of batches of 32 x 32 images (volumes: 8 slices of them) with labels and masks for the task."""

    def make(n: int = 4, seed: int = 0, classes: int = 2, **changes) -> Sample:
        generator = torch.Generator().manual_seed(seed)
        size = (32, 32) if space == 2 else (8, 32, 32)
        image = torch.rand(n, 1, *size, generator=generator) * 2 - 1
        masks = torch.zeros(n, *size, dtype=torch.uint8)
        for row in range(n):
            masks[row, ..., 6 + row : 14 + row, 8:18] = 1
        labels = torch.arange(n) % classes if task == "classification" else masks.long() * (classes - 1)
        given = {"inputs": {"image": image}, "labels": labels, "masks": masks, **changes}
        return Sample(**given)

    return make


@pytest.fixture(scope="session")
def phantom(tmp_path_factory):
    """Return a folder of eight phantom studies (with the usual faults), its drawn cases, and where each study lies."""
    folder = tmp_path_factory.mktemp("phantom")
    cases, studies = write_phantom_dicom(folder, studies=8, seed=3)
    return folder, cases, studies


@pytest.fixture(scope="session")
def recipe():
    """Return a small recipe of the phantom: a teacher and students that are trained in seconds."""
    from medkd.training.recipes import read_recipe

    return read_recipe(Path(flows.__file__).parent / "recipes" / "phantom-classification.yaml", SMALL)


@pytest.fixture(scope="session")
def workspace(tmp_path_factory):
    """Return the run of ``recipe``: its stages remember, so that its teacher is trained once for all tests of a process."""
    return local_workspace(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="session")
def cohorts(workspace, recipe):
    from medkd.cohorts.prepare import prepare_cohorts

    return prepare_cohorts(workspace, recipe.cohorts(), "")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real data, or skip."""
    folder = Path(os.environ.get("MEDKD_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("real data absent: set MEDKD_DATA to the folder that holds it")
    return folder


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Return the path of Debian's chromium, or skip."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("chromium is missing: run `make system` as root")
    return found


@pytest.fixture(scope="module")
def browser(chromium_path):
    """Return a browser, begun once for all tests of a file; each test opens contexts of its own."""
    from playwright.sync_api import sync_playwright

    from tests.chromium import ARGUMENTS

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        yield started
        started.close()
