from __future__ import annotations

import json

import pytest

from data_contracts import CompressionError, KnowledgeError, LeakageError, LossTerm, Subset, TrainingConfig, Tuning
from medkd.compression.tune import TRANSFER, imitated, open_tuner, transfer_options, tuning_terms
from medkd.models._load import load_network
from medkd.training.training_run import InitialNetwork

FIT = TrainingConfig(epochs=2, batch_size=16, learning_rate=1e-3)
TERMS = (LossTerm(loss="cross_entropy"), LossTerm(loss="logit_kd"))


@pytest.fixture(scope="module")
def origin(student):
    """Return the version that is compressed."""
    return student


@pytest.fixture
def opened(workspace, recipe, cohorts, origin, teacher):
    def open_it(key, seed=0, **changes):
        tuning = Tuning(fit=FIT, terms=TERMS).model_copy(update=changes)
        spec = recipe.student_training("kd", 0)
        loaded = imitated(workspace, origin, teacher, tuning, tuning_terms(tuning, spec.objective.terms))
        return open_tuner(workspace, (spec, cohorts), loaded, tuning, seed=seed, key=key * 32)

    return open_it


def start(workspace, origin):
    return InitialNetwork(load_network(workspace, origin), origin.network)


def test_training_begins_at_the_weights_that_it_is_given(workspace, origin, opened):
    """With a rate of nothing the weights stay: everything but running statistics."""
    slow = FIT.model_copy(update={"learning_rate": 1e-12, "epochs": 1})
    tuned = load_network(workspace, opened("a", fit=slow).train(start(workspace, origin), part="one"))
    before = dict(load_network(workspace, origin).named_parameters())
    assert all(float((value - before[name]).abs().max()) < 1e-6 for name, value in tuned.named_parameters())


def test_what_is_tuned_follows_its_seed_and_is_the_same_again(workspace, origin, opened):
    first, other = (opened(key, seed=seed).train(start(workspace, origin), part="one") for key, seed in (("b", 3), ("c", 4)))
    again = opened("d", seed=3).train(start(workspace, origin), part="one")
    assert first.weights_digest == again.weights_digest != other.weights_digest
    assert (first.epochs, first.teacher_digest) == (2, again.teacher_digest)


def test_a_term_that_keeps_attributions_is_all_that_differs(workspace, origin, opened):
    control, kept = opened("e"), opened("f", keep_attributions=0.5)
    assert kept.spec.objective.terms == (
        *control.spec.objective.terms,
        LossTerm(loss="attribution_transfer", weight=0.5, options=dict(TRANSFER)),
    )
    assert kept.spec.model_copy(update={"objective": control.spec.objective}) == control.spec
    made = kept.train(start(workspace, origin), part="one")
    journal = next((workspace.root / "training").rglob(f"*{'f' * 8}-one/metrics.jsonl"))
    assert {"attribution_transfer", "logit_kd", "cross_entropy"} <= set(json.loads(journal.read_text().splitlines()[-1]))
    assert made.weights_digest != control.train(start(workspace, origin), part="one").weights_digest


def test_attributions_are_compared_as_the_first_term_says_that_compares_some():
    own = LossTerm(loss="attribution_transfer", options={"grid": 20})
    tuning = Tuning(fit=FIT, terms=TERMS, keep_attributions=2.0)
    assert tuning_terms(tuning, (own,))[-1] == LossTerm(loss="attribution_transfer", weight=2.0, options={"grid": 20})
    assert tuning_terms(tuning.model_copy(update={"keep_attributions": 0.0}), (own,)) == TERMS
    assert transfer_options(TERMS) == TRANSFER


def test_the_version_itself_may_be_imitated(opened, origin, teacher):
    assert opened("g", distill_from="origin").teacher.digest == origin.weights_digest
    assert opened("h").teacher.digest == teacher.weights_digest
    assert opened("i", terms=TERMS[:1]).teacher is None


def test_it_is_trained_on_the_cases_of_the_version_and_no_patient_of_the_test(opened, cohorts, workspace, recipe):
    from medkd.cohorts.open_cohort import open_for_training

    tuner = opened("j", seed=77)  # the seed of the tuning names no other cases
    assert tuner.cohort_digest == cohorts.uses[Subset.STUDENT_TRAIN.of(0)].cohort.sha256
    tested = open_for_training(cohorts, Subset.TEST, workspace.store, recipe.task).patients()
    assert not set(tuner.cohort.patients()) & set(tested)
    leaking = cohorts.certificates[0].model_copy(update={"shared_patients": ("p1",)})
    unclean = cohorts.model_copy(update={"certificates": (leaking, *cohorts.certificates[1:])})
    with pytest.raises(LeakageError, match="before tuning"):
        open_tuner(workspace, (tuner.spec, unclean), None, Tuning(fit=FIT, terms=TERMS[:1]), seed=0, key="k")


def test_patience_looks_at_held_back_cases(opened, workspace, origin):
    tuner = opened("k", fit=FIT.model_copy(update={"patience": 1, "epochs": 3}))
    assert tuner.spec.selection == "auc"
    assert 0 <= tuner.validate(load_network(workspace, origin)) <= 1
    assert opened("l").validate is None


def test_what_cannot_be_tuned_is_refused(workspace, recipe, cohorts, origin):
    with pytest.raises(KnowledgeError, match="distill_from: origin") as caught:
        imitated(workspace, origin, None, Tuning(fit=FIT, terms=TERMS), TERMS)
    assert caught.value.code == "TEACHER_MISSING"
    several = Tuning(fit=FIT.model_copy(update={"processes": 2}), terms=TERMS)
    with pytest.raises(CompressionError, match="got 2") as refused:
        open_tuner(workspace, (recipe.student_training("kd", 0), cohorts), None, several, seed=0, key="n")
    assert refused.value.code == "TUNING_PROCESSES"
