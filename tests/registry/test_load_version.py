from __future__ import annotations

import pytest
import torch

from data_contracts import Calibration, ConformalBound, RegistryError
from medkd.registry.load_version import adopt, load_calibrated, load_loss_statement, load_registered, load_version
from medkd.registry.version_files import CALIBRATION
from medkd.storage.workspace import local_workspace
from medkd.trace import frozen
from tests.registry.memory_registry import MemoryRegistry
from tests.registry.publications import network_publication

CALIBRATED = Calibration(
    weights_digest="f" * 64,
    cohort_digest="0" * 64,
    subset="validation",
    method="temperature",
    temperature=1.5,
    scales=(1.0, 1.0),
    biases=(0.0, 0.0),
    patients=4,
    cases=8,
    samples=8,
    bound=ConformalBound(alpha=0.1, unit="lesion", patients=4, units=6, threshold=0.3, missed=0.05, false_positives=0.02),
)


@pytest.fixture
def registry():
    return MemoryRegistry()


def test_a_version_without_calibration_or_card_is_loaded_without(registry, tmp_path):
    model = registry.register(network_publication(tmp_path, 3))
    version = load_version(registry, model.uri)
    assert (version.model, version.checkpoint.seed, version.calibration, version.card) == (model, 3, None, None)
    assert not version.network.training


def test_the_calibration_of_a_version_comes_with_it(registry, tmp_path):
    model = registry.register(network_publication(tmp_path, files={CALIBRATION: CALIBRATED.canonical_json()}))
    assert load_calibrated(registry, model.uri)[3] == CALIBRATED


def test_a_student_is_adopted_with_its_teacher_and_a_teacher_with_itself(registry, tmp_path):
    workspace = local_workspace(tmp_path / "run")
    teacher = registry.register(network_publication(tmp_path, 1, "teacher"))
    student = registry.register(network_publication(tmp_path, 2, "student", teacher.lineage))
    model, own, above = adopt(workspace, registry, student.uri)
    assert (model, own.weights_digest, above.weights_digest) == (student, student.weights_digest, teacher.weights_digest)
    for one, network in ((own, load_registered(registry, student.uri)[2]), (above, load_registered(registry, teacher.uri)[2])):
        kept = workspace.store.read_tensors(one.weights)
        with frozen(network), torch.no_grad():
            assert all(torch.equal(kept[name], value) for name, value in network.state_dict().items())
    _, own, above = adopt(workspace, registry, teacher.uri)
    assert own == above


@pytest.mark.parametrize(("taught", "said"), [(False, "it is a teacher"), (True, "distilled without its teacher")])
def test_a_version_without_a_loss_statement_says_why(registry, tmp_path, taught, said):
    model = registry.register(network_publication(tmp_path, 2, teacher="e" * 64 if taught else None))
    with pytest.raises(RegistryError, match=said) as caught:
        load_loss_statement(registry, model.uri)
    assert caught.value.code == "NO_LOSS_STATEMENT"
