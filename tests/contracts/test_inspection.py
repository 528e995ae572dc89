from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import ExplainerBenchmark, Inspection, read_record

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("wrong", [{"cases": 0}, {"similarity": ((float("nan"),),)}, {"weights_digest": "x"}])
def test_an_inspection_is_of_cases_and_of_weights(wrong):
    inspection = read_record((GOLDEN / "inspection_2.json").read_bytes(), Inspection)
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Inspection.model_validate({**inspection.model_dump(), **wrong})


def test_a_benchmark_names_networks_that_are_known():
    benchmark = read_record((GOLDEN / "explainer_benchmark_2.json").read_bytes(), ExplainerBenchmark)
    networks = [{**one.model_dump(), "name": "other"} for one in benchmark.networks]
    with pytest.raises(ValueError, match="networks"):
        ExplainerBenchmark.model_validate({**benchmark.model_dump(), "networks": networks})
