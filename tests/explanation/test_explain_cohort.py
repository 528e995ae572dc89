from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from data_contracts import Entry, Explain, ExplainSpec, ExplanationBundle, ExplanationError, Task, read_record
from medkd.explanation.explain_cohort import (
    MOST_SIBLINGS,
    _spec_in,
    asks_siblings,
    fails_randomisation,
    over_patients,
    replay_bundle,
    siblings_of,
)  # fmt: skip
from medkd.storage.workspace import local_workspace

GOLDEN = Path(__file__).parents[1] / "contracts" / "golden"
TASK = Task(kind="classification", classes=("benign", "malignant"))


def test_one_case_of_every_patient_comes_before_another_of_any():
    patients = ["a", "a", "b", "a", "c", "b", "d"]
    assert over_patients(patients, 4).tolist() == [0, 2, 4, 6]
    assert over_patients(patients, 5).tolist() == [0, 1, 2, 4, 6]
    assert over_patients(patients, 6).tolist() == [0, 1, 2, 4, 5, 6]
    assert over_patients(patients, 100).tolist() == list(range(7))
    assert over_patients(["x", "y"], 1).tolist() == [0]


def spec(*measures):
    return ExplainSpec(name="r", task=TASK, explain=Explain(measures=tuple(Entry(name=name) for name in measures)))


def trained(seed, **changes):
    return SimpleNamespace(**({"seed": seed, "arm": "kd", "recipe_digest": "r", "teacher_digest": "t"} | changes))


def test_other_trainings_are_asked_where_repeatability_is_measured_and_are_the_same_but_for_their_seed():
    student = trained(0)
    others = [trained(seed) for seed in (3, 1, 0)]
    strangers = [trained(5, arm="alone"), trained(6, recipe_digest="x"), trained(7, teacher_digest="x")]
    asked = spec("repeatability")
    assert asks_siblings(asked)
    assert [one.seed for one in siblings_of(asked, student, [*others, *strangers])] == [1, 3]
    assert len(siblings_of(asked, student, [trained(seed) for seed in range(20)])) == MOST_SIBLINGS
    assert not asks_siblings(spec("gini"))
    assert siblings_of(spec("gini"), student, others) == ()


def test_a_map_that_stays_alike_on_most_cases_fails():
    def alike(*values):
        return {"model_parameter_randomisation": torch.tensor(values)}

    assert fails_randomisation(alike(0.95, 0.97, 0.1))
    assert not fails_randomisation(alike(0.95, 0.1, 0.2))
    assert not fails_randomisation(alike(float("nan"), 0.1))
    assert not fails_randomisation({})


def test_a_request_of_an_earlier_version_kept_the_whole_recipe():
    asked = spec("gini")
    kept = asked.model_dump(mode="json")
    assert _spec_in({"spec": kept}) == asked
    assert _spec_in({"recipe": {**kept, "seeds": [0], "name": "r"}}) == asked


def test_a_bundle_that_kept_no_request_cannot_be_made_again(tmp_path):
    bundle = read_record((GOLDEN / "explanation_bundle_2.json").read_bytes(), ExplanationBundle).model_copy(update={"request": None})
    with pytest.raises(ExplanationError, match="they are not there") as caught:
        replay_bundle(local_workspace(tmp_path), bundle)
    assert caught.value.code == "REPLAY_REQUEST"
