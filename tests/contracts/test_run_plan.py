from __future__ import annotations

import pytest

from data_contracts import PlanBasis, PlannedStep


def test_a_step_is_said_with_what_its_time_rests_on_and_nothing_is_negative():
    step = PlannedStep(name="teacher", runs=1, seconds=1.5, basis="measured steps")
    assert step.basis is PlanBasis.MEASURED
    assert PlannedStep.model_validate_json(step.model_dump_json()) == step
    for wrong in ({"seconds": -1}, {"runs": 0}, {"disk_bytes": -1}, {"basis": "a guess"}):
        with pytest.raises(ValueError, match="validation error"):
            PlannedStep.model_validate({**step.model_dump(), **wrong})
