from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss, roc_auc_score

from data_contracts import ArmVariant, AttributionSource, Case, Cohort, CohortSet, CohortUse, Evaluation, PairedDifference, Part, Ref, Split
from medkd.experiment.scoreboard import compared_with, correct, harmful_arms, judge_controls, score_arm, sibling
from medkd.storage.store import write_bytes
from medkd.storage.workspace import local_workspace

N = 60


def contrast(a, b, difference=0.1, half=0.05, p=0.01, metric="auc_debiased"):
    return PairedDifference(
        a=a, b=b, metric=metric, difference=difference, low=difference - half, high=difference + half, p=p, p_holm=p, n=9, seeds=2
    )


def test_a_family_is_what_is_compared_with_one_arm_by_one_figure():
    given = [
        contrast("x", "kd", p=0.01),
        contrast("y", "kd", p=0.04),
        contrast("x", "alone", p=0.04),
        contrast("x", "kd", p=0.03, metric="ece"),
    ]
    assert [c.p_holm for c in correct(given)] == pytest.approx([0.02, 0.04, 0.04, 0.03])
    assert [c.p for c in correct(given)] == [0.01, 0.04, 0.04, 0.03]


def test_harm_is_an_interval_below_zero_against_the_student_alone_of_any_reading():
    given = [
        contrast("bad", "alone", -0.2), contrast("unsure", "alone", -0.04), contrast("good", "alone", 0.2), contrast("worse", "kd", -0.3),
        contrast("late@plateau", "alone@plateau", -0.2), contrast("other", "alone", -0.2, metric="ece"),
    ]  # fmt: skip
    assert harmful_arms(given, "auc_debiased", "alone") == ("bad", "late@plateau")


def test_a_control_helps_as_much_unless_the_teachers_own_explanations_are_better_beyond_chance():
    given = [
        contrast("e", "kd", 0.2), contrast("e", "e__shuffled", 0.2), contrast("e__shuffled", "kd", 0.0),
        contrast("e", "e__another_patient", 0.02), contrast("e__another_patient", "kd", 0.18),
        contrast("e@plateau", "e__shuffled@plateau", 0.3), contrast("e__shuffled@plateau", "kd@plateau", 0.0),
    ]  # fmt: skip
    verdicts = {(v.arm, v.control): v.helps_as_much for v in judge_controls(given, "auc_debiased", "kd")}
    assert verdicts == {
        ("e", AttributionSource.SHUFFLED): False,
        ("e", AttributionSource.ANOTHER_PATIENT): True,
        ("e@plateau", AttributionSource.SHUFFLED): False,
    }


def test_who_is_compared_with_whom():
    names = ["teacher", "alone", "kd", "e", "e__shuffled", "alone@plateau", "kd@plateau", "e@plateau", "kd_gap", "kd_longer", "e@wrong"]

    def others(name):
        return compared_with(name, names, ("alone", "kd"))

    assert others("teacher") == []
    assert others("alone") == ["kd"]
    assert others("e") == ["alone", "kd", "e__shuffled"]
    assert others("e__shuffled") == ["alone", "kd"]
    assert others("e@plateau") == ["alone@plateau", "kd@plateau"]
    assert others("kd_gap") == ["alone", "kd", "kd_longer"]
    assert others("e@wrong") == ["alone", "kd"]
    assert sibling("alone", ArmVariant.parse("alone@plateau"), names) is None


@pytest.mark.parametrize("control", [None, *AttributionSource])
@pytest.mark.parametrize("continuation", [None, "gap", "longer"])
@pytest.mark.parametrize("setting", ["", "plateau", "few_labels"])
def test_the_name_of_a_variant_says_what_it_is(control, continuation, setting):
    variant = ArmVariant(arm="kd_explanation", control=control, continuation=continuation, setting=setting)
    assert ArmVariant.parse(str(variant)) == variant


@pytest.fixture
def scored(tmp_path, request):
    """Two arms and a ceiling of known probabilities over two test cohorts; of so many classes as the parameter says, two without one."""
    workspace = local_workspace(tmp_path / "run")
    rng = np.random.default_rng(0)
    labels = np.arange(N) % getattr(request, "param", 2)
    ref = Ref(store="run", key="x", sha256="0" * 64)

    def use(name):
        cases = tuple(Case(case_key=f"{name}{i}", patient_key=f"p{name}{i}", image=ref, label=int(labels[i])) for i in range(N))
        split = Split(parts={Part.TEST: tuple(c.case_key for c in cases)})
        payload = Cohort(name=name, origin="made", classes=("a", "b", "c")[: labels.max() + 1], cases=cases, split=split).canonical_json()
        write_bytes(workspace.store.root / f"{name}.json", payload)
        return CohortUse(cohort=Ref(store="run", key=f"{name}.json", sha256=hashlib.sha256(payload).hexdigest()), part=Part.TEST)

    cohorts = CohortSet(uses={name: use(name) for name in ("test", "debiased")}, certificates=())
    drawn = {}

    def evaluation(arm, seed, signal):
        found = {}
        for subset in ("test", "debiased"):
            found[f"{subset}/probability"] = 1 / (1 + np.exp(-(signal * (2 * (labels == 1) - 1) + rng.normal(size=N))))
        drawn[arm, seed] = found
        arrays = workspace.store.write_tensors(f"{arm}{seed}", {k: torch.from_numpy(v) for k, v in found.items()})
        return Evaluation(
            arm=arm, role="student", seed=seed, weights_digest="0" * 64, parameters=7, latency_ms=1.0 + seed, train_seconds=2.0 + 2 * seed,
            arrays=arrays,
        )  # fmt: skip

    groups = {arm: tuple((evaluation(arm, s, signal),) for s in (0, 1)) for arm, signal in (("alone", 0.2), ("kd", 0.8))}
    groups["teacher"] = ((evaluation("teacher", 0, 2.5),),)
    return workspace, cohorts, groups, drawn, labels


def test_figures_differences_and_gap_closure_are_those_of_scikit_learn(scored):
    workspace, cohorts, groups, drawn, labels = scored
    result = score_arm(
        workspace, cohorts, "kd", groups["kd"], (("alone", groups["alone"]),), (groups["alone"], groups["teacher"]), "auc_debiased"
    )
    auc = {key: roc_auc_score(labels, found["debiased/probability"]) for key, found in drawn.items()}
    own, other = (np.mean([auc[arm, s] for s in (0, 1)]) for arm in ("kd", "alone"))
    assert result.figures["auc_debiased"].mean == pytest.approx(own)
    closure = np.mean([(auc["kd", s] - auc["alone", s]) / (auc["teacher", 0] - auc["alone", s]) for s in (0, 1)])
    assert result.figures["gap_closure"].mean == pytest.approx(closure)
    brier = np.mean([brier_score_loss(labels, drawn["kd", s]["test/probability"]) for s in (0, 1)])
    assert result.figures["brier"].mean == pytest.approx(brier)
    (found,) = [c for c in result.differences if c.metric == "auc_debiased"]
    assert (found.a, found.b, found.seeds, found.n) == ("kd", "alone", 2, N)
    assert found.difference == pytest.approx(own - other)
    assert found.low < found.difference < found.high
    assert result.figures["train_seconds"].mean == 3.0
    assert (result.figures["latency_ms"].low, result.figures["latency_ms"].high) == (1.0, 2.0)


@pytest.mark.parametrize("scored", [3], indirect=True)
def test_of_three_classes_the_second_is_scored_against_all_others(scored):
    workspace, cohorts, groups, drawn, labels = scored
    result = score_arm(workspace, cohorts, "kd", groups["kd"], (), (), "auc_debiased")
    for name, subset, measure in (("auc_debiased", "debiased", roc_auc_score), ("brier", "test", brier_score_loss)):
        wanted = np.mean([measure(labels == 1, drawn["kd", s][f"{subset}/probability"]) for s in (0, 1)])
        assert result.figures[name].mean == pytest.approx(wanted)


def test_where_there_is_no_gap_there_is_no_closure(scored):
    workspace, cohorts, groups, _, _ = scored
    result = score_arm(workspace, cohorts, "kd", groups["kd"], (), (groups["alone"], (groups["alone"][0],)), "auc_debiased")
    assert "gap_closure" not in result.figures
