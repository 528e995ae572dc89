"""What a training cost: parts add up, units stand in the names, and no digest of a version depends on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import Checkpoint, TrainingCost, read_record

GOLDEN = Path(__file__).parent / "golden"
FIRST = TrainingCost(
    cpu_seconds=10,
    gpu_seconds=2,
    wall_seconds=6,
    peak_memory_bytes=3 * 2**20,
    read_bytes=2**20,
    written_bytes=5,
    energy_wh=0.5,
    energy_assumption="a",
)


def later(**changes):
    given = {"cpu_seconds": 1, "wall_seconds": 1, "energy_wh": 0.25, "energy_assumption": "a", **changes}
    return TrainingCost(**given)


def test_parts_of_a_training_add_up_and_memory_is_the_largest():
    total = FIRST + later(peak_memory_bytes=2**20, read_bytes=1, written_bytes=1, parts=2)
    assert (total.cpu_seconds, total.gpu_seconds, total.wall_seconds, total.energy_wh) == (11, 2, 7, 0.75)
    assert (total.peak_memory_bytes, total.read_bytes, total.written_bytes, total.parts) == (3 * 2**20, 2**20 + 1, 6, 3)
    assert total.energy_assumption == "a"


def test_bytes_of_a_part_that_nobody_counted_are_bytes_that_nobody_knows():
    total = FIRST + later(energy_assumption="b")
    assert total.read_bytes is None
    assert total.peak_memory_bytes == 3 * 2**20
    assert total.energy_assumption == "a; then b"


def test_metrics_have_their_unit_in_the_name_and_leave_out_what_is_not_known():
    metrics = FIRST.metrics()
    assert metrics["cost_cpu_seconds"] == 10
    assert metrics["cost_energy_wh"] == 0.5
    assert metrics["cost_peak_memory_mib"] == 3
    assert metrics["cost_read_mib"] == 1
    assert "cost_peak_gpu_memory_mib" not in metrics


def test_the_sentence_says_what_the_estimate_rests_on():
    assert (
        FIRST.sentence()
        == "Its training took 10 s of processor cores and 2 s of GPUs, at most 3 MiB of memory, and an estimated 0.5 Wh (a)."
    )


@pytest.fixture
def checkpoint():
    return read_record((GOLDEN / "checkpoint_2.json").read_bytes(), Checkpoint)


def test_a_checkpoint_from_before_keeps_its_bytes(checkpoint):
    assert checkpoint.cost is None
    assert b"cost" not in checkpoint.canonical_json()


def test_a_checkpoint_with_its_cost_is_read_again_and_is_the_same_without(checkpoint):
    measured = checkpoint.model_copy(update={"cost": FIRST, "train_seconds": 99.0})
    assert read_record(measured.canonical_json(), Checkpoint) == measured
    assert measured.without_measured().digest() == checkpoint.without_measured().digest()


def test_a_schema_says_that_it_is_measured_so_that_stage_keys_leave_it_out():
    assert Checkpoint.model_fields["cost"].json_schema_extra == {"measured": True}
