"""A probe makes steps of the real loop: it takes its time, knows the network, and leaves nothing that a training would go on with."""

from __future__ import annotations

import pytest
from torch import nn

from data_contracts import Role
from medkd.models._build import build_network, parameter_count
from medkd.planning.probe import probe_passes, probe_training
from medkd.training.recipes import network_spec
from medkd.training.training_run import LoadedTeacher
from tests.planning.recipes import smoke_recipe


def test_a_teacher_is_probed_for_about_the_time_that_is_given(tmp_path):
    recipe = smoke_recipe()
    found = probe_training(recipe.teacher_training(), None, 128, tmp_path, 1.0)
    assert found.steps >= 2
    assert 0 < found.step_seconds < 5
    assert found.ask_seconds == 0
    assert found.parameters == parameter_count(build_network(network_spec(recipe, Role.TEACHER)))
    # Weights and both moments of each, in float32.
    assert found.state_bytes > 3 * 4 * found.parameters
    assert found.peak_bytes > 50 * 2**20
    assert found.precision == "fp32"
    assert found.peak_gpu_bytes is None or found.peak_gpu_bytes > 0


@pytest.mark.parametrize(
    ("arm", "changes"),
    [
        ("kd_explanation", {}),
        ("kd", {"arms.kd.init": "compressed_teacher"}),
        ("kd_explanation", {"arms.kd_explanation.attribution_source": "random_teacher"}),
    ],
)
def test_a_student_is_probed_beside_a_teacher(tmp_path, arm, changes):
    recipe = smoke_recipe(**changes)
    teacher_spec = network_spec(recipe, Role.TEACHER)
    teacher = LoadedTeacher(build_network(teacher_spec), teacher_spec, "0" * 64)
    found = probe_training(recipe.student_training(arm, 0), teacher, 32, tmp_path, 0.1)
    assert found.steps >= 2
    assert found.ask_seconds >= 0


def test_passes_with_a_gradient_take_longer():
    network = nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 2, 3, padding=1))
    found = probe_passes(network, (4, 1, 64, 64), 0.5)
    assert 0 < found.forward_seconds < found.gradient_seconds
    assert all(parameter.grad is None for parameter in network.parameters())
