from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import PretrainedStart, PretrainingConfig, StartingWeights, read_record

GOLDEN = Path(__file__).parent / "golden"


def test_weights_are_read_back():
    start = read_record((GOLDEN / "starting_weights_1.json").read_bytes(), StartingWeights)
    assert (start.source, start.skip_head, start.layers) == ("pretraining", True, "all")


@pytest.mark.parametrize(
    "change", [{"mask_ratio": 0.0}, {"mask_ratio": 1.0}, {"cell": 1}, {"batch_size": 1}, {"kind": "contrastive"}, {"epochs": 0}]
)
def test_a_pretraining_that_hides_nothing_or_everything_is_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        PretrainingConfig.model_validate(change)


@pytest.mark.parametrize("source", ["models:/x/1", "weights/net.safetensors"])
def test_a_start_is_a_version_or_a_file_below_the_data(source):
    assert PretrainedStart(source=source).mismatched == "refuse"
