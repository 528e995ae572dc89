"""A description names the network of plain weights."""

from __future__ import annotations

import pytest
import torch

from data_contracts import MonaiClass, Network, SourceError, Task, TeacherDescription
from medkd.foreign.plain_weights import described_network, read_plain
from medkd.foreign.source_files import SourceFiles
from medkd.models._build import build_network

TASK = Task(kind="segmentation", classes=("a", "b"), image_size=(16, 24, 32))


def test_a_network_of_the_catalogue_is_rebuilt_with_its_weights(tmp_path):
    description = TeacherDescription(task=TASK, network=Network(builder="unet", options={"channels": (4, 4)}))
    network = build_network(described_network(description, TASK), seed=5).eval()
    torch.save(network.state_dict(), tmp_path / "w.pt")
    found = read_plain(SourceFiles(tmp_path, "w.pt"), description)
    image = torch.randn(1, 1, 16, 24, 32)
    with torch.no_grad():
        assert torch.equal(found.network(image), network(image))


def test_axes_and_a_scale_become_options_of_the_network():
    description = TeacherDescription(task=TASK, monai=MonaiClass(name="BasicUNet"), orientation="RAS", input_scale=0.5, input_shift=0.5)
    options = described_network(description, TASK).options
    assert (options["axes"], options["probe_size"], options["input_scale"]) == ((2, 1, 0), (32, 24, 16), 0.5)
    with pytest.raises(SourceError, match="'axes'") as caught:
        described_network(description.model_copy(update={"monai": None, "network": Network(builder="unet")}), TASK)
    assert caught.value.code == "TEACHER_UNSUPPORTED"


def test_weights_without_a_description_are_of_nobody(tmp_path):
    for description in (TeacherDescription(), TeacherDescription(task=TASK)):
        with pytest.raises(SourceError) as caught:
            read_plain(SourceFiles(tmp_path, "w.pt"), description)
        assert caught.value.code == "TASK_MISSING"
