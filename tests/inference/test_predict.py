from __future__ import annotations

import pytest
import torch
from monai.inferers.utils import sliding_window_inference

from data_contracts import NetworkSpec, Task
from medkd.inference.predict import averaged_over_flips, predict_logits, predict_volume
from medkd.models._build import build_network

TASK = Task(kind="segmentation", classes=("background", "a"), image_size=(8, 16, 16), overlap=0.25, intensity="standardised")


@pytest.fixture(scope="module")
def network():
    return build_network(NetworkSpec(builder="unet", spatial_dims=3, options={"channels": (4, 8)}), seed=1).eval()


def noise(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_flips_average_the_image_and_its_mirrorings_turned_back(network):
    image = noise(1, 1, 8, 16, 16)
    with torch.no_grad():
        by_hand = (
            network(image) + network(image.flip(2)).flip(2) + network(image.flip(4)).flip(4) + network(image.flip(2, 4)).flip(2, 4)
        ) / 4
    torch.testing.assert_close(predict_logits(network, image, flips=(0, 2)), by_hand)


def test_an_answer_averaged_over_flips_does_not_depend_on_the_side_it_is_seen_from(network):
    image = noise(1, 1, 8, 16, 16)
    torch.testing.assert_close(predict_logits(network, image.flip(4), flips=(2,)), predict_logits(network, image, flips=(2,)).flip(4))
    assert not torch.allclose(predict_logits(network, image.flip(4)), predict_logits(network, image).flip(4), atol=1e-4)


def test_a_classifier_has_nothing_to_turn_back():
    network = build_network(NetworkSpec(builder="resnet", options={"channels": (4, 4, 6, 8)})).eval()
    image = noise(3, 1, 32, 32)
    with torch.no_grad():
        by_hand = (network(image) + network(image.flip(3))) / 2
    torch.testing.assert_close(predict_logits(network, image, flips=(1,)), by_hand)


def test_no_flips_is_the_network_itself(network):
    assert averaged_over_flips(network, ()) is network


def test_a_volume_larger_than_a_window_is_predicted_by_overlapping_windows(network):
    volume = noise(1, 12, 20, 30)
    student_values = predict_volume(network, volume, TASK)
    with torch.no_grad():
        wanted = sliding_window_inference(
            volume[None], TASK.image_size, 1, network, overlap=0.25, mode="gaussian", cval=float(volume.min())
        )[0]
    assert student_values.shape == (2, 12, 20, 30)
    torch.testing.assert_close(student_values, wanted, atol=1e-5, rtol=1e-4)
    flipped = predict_volume(network, volume, TASK.model_copy(update={"test_time_flips": (0,)}))
    assert not torch.allclose(student_values, flipped, atol=1e-4)


def test_a_volume_smaller_than_a_window_keeps_its_shape(network):
    assert predict_volume(network, noise(1, 5, 9, 16), TASK).shape == (2, 5, 9, 16)
