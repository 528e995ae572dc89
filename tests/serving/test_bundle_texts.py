"""A bundle's metadata fit what MONAI asks for, and name use, data and licence."""

from __future__ import annotations

import json

import pytest

from data_contracts import DataSource, ModelCard
from medkd.serving.bundle_texts import bundle_metadata, bundle_readme
from tests.serving.bundled import SHA, bundled

VERSIONS = {"monai": "1", "torch": "2", "numpy": "3", "nibabel": "4", "pillow": "5", "fire": "6"}
#: What MONAI's schema of 2024-07-25 requires, of the whole and of a tensor.
REQUIRED = {
    "schema", "version", "monai_version", "pytorch_version", "numpy_version", "required_packages_version", "task", "description", "authors",
    "copyright", "network_data_format",
}  # fmt: skip
TENSOR = {"type", "format", "num_channels", "spatial_shape", "dtype", "value_range"}


def card_of(one):
    data = DataSource(
        name="Set",
        modality="MR",
        body_part="hippocampus",
        address="https://example.org/set",
        licence="CC-BY-SA-4.0",
        attribution="Cite it.",
    )
    return ModelCard(name="net", role="student", task=one.checkpoint.task, parameters=9, cohort_digest=SHA, recipe_digest=SHA, data=data)


@pytest.mark.parametrize("builder", ["unet", "resnet"])
@pytest.mark.parametrize("intensity", ["window", "standardised"])
def test_metadata_have_what_is_required(builder, intensity):
    one = bundled(builder, intensity=intensity)
    found = json.loads(json.dumps(bundle_metadata(one.model, one.checkpoint, None, VERSIONS)))
    assert found.keys() >= REQUIRED
    assert found["monai_version"] == "1"
    inputs, outputs = found["network_data_format"]["inputs"]["image"], found["network_data_format"]["outputs"]["pred"]
    assert inputs.keys() >= TENSOR
    assert outputs.keys() >= TENSOR
    assert inputs["spatial_shape"] == [16, 16, 24]
    assert outputs["channel_def"] == {str(place): name for place, name in enumerate(one.checkpoint.task.classes)}
    assert inputs["value_range"] == ([-1, 1] if intensity == "window" else [])
    assert "Research use only" in found["intended_use"]


def test_data_and_their_licence_are_named_where_the_card_names_them():
    one = bundled("unet")
    assert bundle_metadata(one.model, one.checkpoint, None, VERSIONS)["data_licence"] == "not said by the model's card"
    found, text = bundle_metadata(one.model, one.checkpoint, card_of(one), VERSIONS), bundle_readme(one.model, one.checkpoint, card_of(one))
    assert found["data_licence"] == "CC-BY-SA-4.0"
    assert "Cite it." in found["data_source"]
    assert "CC-BY-SA-4.0" in text
    assert found["network_data_format"]["inputs"]["image"]["modality"] == "MR"


@pytest.mark.parametrize("builder", ["unet", "resnet"])
def test_the_readme_says_how_it_is_run_and_verified(builder):
    one = bundled(builder)
    text = bundle_readme(one.model, one.checkpoint, None)
    for words in ("Research use only", "monai.bundle run --config_file configs/inference.json", "verify_net_in_out", "verify_metadata"):
        assert words in text
    assert "model.pt" in text
