"""What a student lost is named, the planted loss first; where nothing was lost, nothing is called sure."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

import flows
from data_contracts import CardNotes, CohortUse, DataError, LossAxis, LossStatement, Part, RegistryError, Subset, load_record
from flows.loss_text import loss_text
from medkd.cohorts.prepare import prepare_cohorts
from medkd.cohorts.tensor_cohort import read_cohort
from medkd.evaluation.case_results import collect_case_results
from medkd.evaluation.evaluate import evaluate_model
from medkd.evaluation.loss_statement import MOST_CASES, compare_with_teacher, state_loss
from medkd.recipe_calls.evaluation_calls import loss_calls
from medkd.registry.load_version import load_loss_statement
from medkd.registry.publish import register_models
from medkd.registry.recipe_result import RecipeResult
from medkd.registry.version_files import LOSS_PICTURE, LOSS_STATEMENT
from medkd.storage.workspace import local_workspace
from medkd.training import train
from medkd.training.recipes import read_recipe
from tests.evaluation.paired_results import STUDENT, TEACHER, pair_of, simulated, simulated_segmentation, units_of
from tests.registry.memory_registry import MemoryRegistry
from tests.registry.test_publish import leaky_run


@pytest.mark.parametrize("coin", [False, True], ids=["one class", "by chance"])
def test_a_subgroup_that_was_never_learned_is_named_first(coin):
    first = [compare_with_teacher(*simulated(seed, n=120, forgotten="c", coin=coin)).losses[0] for seed in range(20)]
    assert sum(item.key == "subgroup/device=c" and item.sure for item in first) >= 19


@pytest.mark.parametrize("n", [40, 80, 160])
def test_of_equal_networks_nothing_is_a_sure_loss(n):
    sure = [bool(compare_with_teacher(*simulated(seed, n=n)).sure_losses) for seed in range(100)]
    assert sum(sure) <= 5


def test_of_equal_segmentations_nothing_is_a_sure_loss():
    sure = [bool(compare_with_teacher(*simulated_segmentation(seed)).sure_losses) for seed in range(100)]
    assert sum(sure) <= 5


def test_losses_gains_and_what_stays_are_apart_and_ranked():
    statement = compare_with_teacher(*simulated(3, n=160, forgotten="c"))
    assert all(item.loss.mean > 0 for item in statement.losses)
    assert all(item.loss.mean < 0 for item in statement.gains)
    assert all(item.loss.mean == 0 for item in statement.unchanged)
    items = (*statement.losses, *statement.gains, *statement.unchanged)
    assert statement.figures == len(items) == len({item.key for item in items})
    for group in (statement.losses, statement.gains, statement.unchanged):
        assert [item.rank for item in group] == list(range(1, len(group) + 1))
        assert list(group) == sorted(group, key=lambda item: (not item.sure, -item.severity))
    for item in items:
        sign = 1 if item.higher_is_better else -1
        assert item.loss.mean == pytest.approx(sign * (item.teacher - item.student))
        assert item.simultaneous_low <= item.loss.low <= item.loss.mean <= item.loss.high <= item.simultaneous_high
    assert statement.worst()[LossAxis.SUBGROUP] == statement.losses[0]
    assert set(statement.worst()) == set(LossAxis)


def test_a_gain_is_no_loss_the_other_way_round():
    teacher, student = simulated(3, n=160, forgotten="c")
    there, back = compare_with_teacher(teacher, student), compare_with_teacher(student, teacher)
    assert {item.key for item in there.sure_losses} == {item.key for item in back.gains if item.sure}
    assert (there.answers.lost, there.answers.worst_lost) != (back.answers.lost, back.answers.worst_lost)
    assert there.answers.lost == back.answers.gained


def test_cases_that_changed_sides_are_counted_and_named_worst_first():
    n = 60
    units = units_of(n, patients=[f"p{row // 2}" for row in range(n)], labels=[1] * n)
    student = [0.4 - row / 200 for row in range(30)] + [0.9] * 20 + [0.1] * 5 + [0.8] * 5
    pair = pair_of({"test": units}, {"test/probability": [0.95] * 50 + [0.2] * 10}, {"test/probability": student})
    answers = compare_with_teacher(*pair).answers
    assert (answers.both, answers.neither, answers.lost, answers.gained) == (20, 5, 30, 5)
    assert (answers.lost_patients, answers.gained_patients) == (15, 3)
    assert [one.case_key for one in answers.worst_lost] == [f"c{row}" for row in range(29, 29 - MOST_CASES, -1)]
    assert (answers.worst_lost[0].teacher, answers.worst_lost[0].student) == pytest.approx((0.95, 0.255))
    assert [one.case_key for one in answers.best_gained] == [f"c{row}" for row in range(55, 60)]


def test_the_stage_keeps_the_picture_and_is_quick(tmp_path):
    workspace, pair = local_workspace(tmp_path), simulated(0, n=400, forgotten="b")
    started = time.process_time()
    statement = state_loss(workspace, *pair)
    assert time.process_time() - started < 2.0
    with Image.open(workspace.store.path(statement.picture)) as picture:
        assert picture.format == "PNG"
    assert (statement.weights_digest, statement.teacher_digest, statement.kind) == (STUDENT, TEACHER, "classification")
    assert state_loss(workspace, *pair) == statement
    assert compare_with_teacher(*pair) == statement.model_copy(update={"picture": None})
    with pytest.raises(DataError) as caught:
        state_loss(workspace, pair[0], pair[0])
    assert caught.value.code == "LOSS_OF_ITSELF"


def test_what_cannot_be_compared_is_a_statement_without_figures(tmp_path):
    teacher, student = simulated(0, n=16)
    other = student.model_copy(update={"cohorts": dict.fromkeys(student.cohorts, "e" * 64)})
    statement = state_loss(local_workspace(tmp_path), teacher, other)
    assert (statement.figures, statement.picture, statement.answers) == (0, None, None)
    assert {one.axis for one in statement.not_measured} == set(LossAxis)
    assert "not measured: answers: teacher and student were tested on other cases of 'test'" in loss_text(statement)


def test_a_students_version_carries_its_statement_and_a_teachers_has_none(tmp_path):
    workspace, cohorts, (teacher, student), cards = leaky_run(tmp_path, ("p8", "p9"))
    pair = [
        own.model_copy(update={"weights_digest": checkpoint.weights_digest})
        for own, checkpoint in zip(simulated(3, n=160, forgotten="c"), (teacher, student), strict=True)
    ]
    result = RecipeResult(
        SimpleNamespace(
            name="r",
            card=CardNotes(),
            data=None,
            teacher=SimpleNamespace(registered=None),
            task=SimpleNamespace(kind=None, case_classes=()),
        ),
        cohorts,
        teacher,
        students=(student,),
        scorecards=cards,
        case_results=tuple(pair),
    )
    statements = tuple(state_loss(*call) for call in loss_calls(workspace, result))
    registry = MemoryRegistry()
    published = []
    register = registry.register
    registry.register = lambda publication: (published.append(publication), register(publication))[1]
    registered = register_models(workspace, replace(result, loss_statements=statements), registry)
    folder = registry.fetch(registered.models[1].uri)[1]
    assert load_record(folder / LOSS_STATEMENT, LossStatement) == statements[0] == load_loss_statement(registry, registered.models[1].uri)
    assert (folder / LOSS_PICTURE).read_bytes() == workspace.store.path(statements[0].picture).read_bytes()
    assert published[1].metrics["loss_subgroup"] == statements[0].losses[0].loss.mean
    assert "| right answers where device is c | " in published[1].description
    assert not [name for name in published[0].metrics if name.startswith("loss_")]
    with pytest.raises(RegistryError, match="it is a teacher") as caught:
        load_loss_statement(registry, registered.models[0].uri)
    assert caught.value.code == "NO_LOSS_STATEMENT"
    assert loss_calls(workspace, replace(result, teacher=None)) == []


def with_devices(workspace, cohorts, left_out):
    """Return the cohorts with a second device, whose grey values and classes are the other way round; not in ``left_out`` subsets."""
    store, uses = workspace.store, {}
    for subset, use in cohorts.uses.items():
        cohort = read_cohort(use.cohort, store)
        cases, shards = [], {}
        for shard in dict.fromkeys(case.image for case in cohort.cases):
            own = [case for case in cohort.cases if case.image == shard]
            second = torch.tensor([row // 2 % 4 == 0 for row in range(len(own))])
            arrays = {name: values.clone() for name, values in store.read_tensors(shard).items()}
            arrays["images"][second] = (80 - arrays["images"].float())[second].to(arrays["images"].dtype)
            kept = ~second if subset in left_out else torch.ones(len(own), dtype=torch.bool)
            key = f"devices/{subset.replace('/', '-')}-{len(shards)}.safetensors"
            shards[shard] = store.write_tensors(key, {name: values[kept].contiguous() for name, values in arrays.items()})
            for row, case in enumerate(own):
                if kept[row]:
                    changes = {"image": shards[shard], "attributes": {"device": "second" if second[row] else "first"}}
                    changes["label"] = 1 - case.label if second[row] else case.label
                    cases.append(case.model_copy(update={**changes, "mask": None if case.mask is None else shards[shard]}))
        names = {case.case_key for case in cases}
        parts = {part: tuple(key for key in keys if key in names) for part, keys in cohort.split.parts.items()}
        changed = cohort.model_copy(update={"cases": tuple(cases), "split": cohort.split.model_copy(update={"parts": parts})})
        path = changed.write(store.root / f"devices-{subset.replace('/', '-')}.json")
        uses[subset] = CohortUse(cohort=store.refer(path.name), part=Part(use.part))
    return cohorts.model_copy(update={"uses": uses})


@pytest.mark.extended
@pytest.mark.timeout(900)
def test_a_device_that_a_student_was_not_trained_on_is_named_first(tmp_path):
    # The marker tells the class of every case, so that few of them are enough; on the second device it tells the other one.
    sizes = {"teacher": 384, "teacher_validation": 40, "student": 256, "test": 160, "debiased": 8, "reversed": 8, "marker_pairs": 16}
    changes = {f"data.{name}": size for name, size in sizes.items()} | {"seeds": [0], "teacher.terms": [{"loss": "cross_entropy"}]}
    changes |= {f"data.{role}_marker_rates": [0.0, 1.0] for role in ("teacher", "student")} | {
        "teacher.fit.learning_rate": 0.008,
        "teacher.fit.epochs": 7,
    }
    recipe = read_recipe(Path(flows.__file__).parent / "recipes" / "phantom-classification.yaml", changes)
    workspace = local_workspace(tmp_path)
    cohorts = with_devices(workspace, prepare_cohorts(workspace, recipe.cohorts(), ""), (Subset.STUDENT_TRAIN.of(0),))
    teacher = train.train_teacher(workspace, recipe.teacher_training(), cohorts)
    student = train.distill(workspace, recipe.student_training("kd", 0), cohorts, teacher)
    evaluations = tuple(evaluate_model(workspace, recipe.name, cohorts, one, teacher) for one in (teacher, student))
    results = collect_case_results(workspace, recipe.name, cohorts, recipe.task, evaluations)
    statement = state_loss(workspace, *results)
    assert (statement.losses[0].key, statement.losses[0].sure) == ("subgroup/device=second", True), loss_text(statement)
