"""The phantom loop: does feedback on 15 % of the studies move the next student's maps off a planted marker, and what does it cost?

``python -m tests.benchmarks.redistill --json``: in 95 % of a student's 320 training cases a corner marker goes with the class; its labels are these, its
teacher never learned from the marker. Simulated readers look at the student's class maps and forbid the marker on 15 % of the training studies,
where the map lies on it. Under each of three seeds, a cohort of its own, four students: ``before``, as the readers saw it; ``control``, trained
again from other first weights in another order, without feedback; ``after``, the same as ``control`` with feedback; ``outlined``, the same
where readers outlined the lesion too, as where the map belongs. A quarter of the readers' patients judge and are left out of the training of all but the first.

``outside_share`` is the share of the absolute class map on the marker, grown by the reader's brush of three pixels, over held-out cases with a
marker that no training saw; ``neighbourhood_share`` the same grown by twelve pixels, to see whether it only moved next door; ``marker_effect`` is how much the
answer changes when the marker is put in or taken out, which no map is needed for. The strength was chosen on a cohort of seed 61000, which
the benchmark does not use. About twenty minutes beside other work on two cores.

The gate is asked of each student with feedback, as ``medkd redistill`` asks it, against ``control`` on the debiased cases and on the studies that judge.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from data_contracts import Checkpoint, CohortSet, FeedbackDirectives, PhantomData, Recipe, Subset
from medkd.attribution._attribute import attribute
from medkd.cohorts.open_cohort import open_pictures
from medkd.cohorts.prepare import prepare_cohorts
from medkd.evaluation.bootstrap import CrossedEstimate, Statistic, auc_of, crossed_estimate, mean_of
from medkd.evaluation.compare import compare_arms
from medkd.evaluation.evaluate import evaluate_model
from medkd.feedback.attention import Attention, measure_attention
from medkd.feedback.gate import Compared, judge
from medkd.feedback.next_student import taught_spec
from medkd.inference.predict import predict_logits
from medkd.models._load import load_network
from medkd.phantom.render import draw_cases
from medkd.storage.workspace import Workspace, local_workspace
from medkd.targets import class_margin
from medkd.training.recipes import read_recipe
from medkd.training.train import distill, train_teacher
from tests.benchmarks.command import asks_for_json
from tests.feedback.simulated_readers import ReaderOptions, marker_region, mass_on, read_by_readers

RECIPE = Path(__file__).parents[2] / "flows" / "recipes" / "phantom-classification.yaml"
STUDENTS = ("before", "control", "after", "outlined")
#: Those that feedback taught.
TAUGHT = ("after", "outlined")
#: A training of the same cohort under this seed more has other first weights and another order.
AGAIN = 1000
SEEDS = (0, 1, 2)
STRENGTH = 1.0
#: Pixels round the marker that are looked at to see whether attribution only moved next door.
NEIGHBOURHOOD = 12
Arrays = dict[str, NDArray[np.float64]]


def recipe_of(seeds: Sequence[int], **changes: object) -> Recipe:
    """Return the recipe: the shipped phantom's, with labels and soft labels for the student, on cohorts of its own."""
    arm = {"terms": [{"loss": "cross_entropy"}, {"loss": "logit_kd", "options": {"temperature": 4.0}}]}
    own = {
        "seeds": list(seeds), "arms": {"labels_and_kd": arm}, "data.cohort_seed": 71000, "data.teacher": 640, "data.student": 320, "data.test": 300, "data.debiased": 300,
        "data.teacher_validation": 50, "data.reversed": 16, "data.marker_pairs": 150, "teacher.fit.epochs": 5, "student.fit.epochs": 8,
    }  # fmt: skip
    return read_recipe(RECIPE, {**own, **changes})


@dataclass(frozen=True)
class Loop:
    """One seed's readers and students.

    Attributes:
        directives: what the readers said, by the student that it taught.
        students: by name.
        cohorts: in which the second trainings find the first one's cohort under their own seed.
    """

    directives: Mapping[str, FeedbackDirectives]
    students: Mapping[str, Checkpoint]
    cohorts: CohortSet


def run_loop(workspace: Workspace, recipe: Recipe, cohorts: CohortSet, teacher: Checkpoint, seed: int, options: ReaderOptions) -> Loop:
    """Train, let readers judge, and train again without and with what they said."""
    (arm,), data = recipe.arms, recipe.data
    assert isinstance(data, PhantomData)
    own = cohorts.uses[Subset.STUDENT_TRAIN.of(seed)]
    shared = cohorts.model_copy(update={"uses": {**cohorts.uses, Subset.STUDENT_TRAIN.of(seed + AGAIN): own}})
    before = distill(workspace, recipe.student_training(arm, seed), shared, teacher)
    said = {name: read_by_readers(workspace, before, shared, data, replace(options, outline=name == "outlined")) for name in TAUGHT}
    again = recipe.student_training(arm, seed + AGAIN)
    control = distill(workspace, again, shared, teacher, None, said["after"].without_teaching())
    taught = {name: distill(workspace, taught_spec(again, one), shared, teacher, None, one) for name, one in said.items()}
    return Loop(said, {"before": before, "control": control, **taught}, shared)


def held_out(workspace: Workspace, recipe: Recipe, loop: Loop) -> dict[str, Arrays]:
    """Return what each student does on the held-out cohorts: per case, by ``SUBSET/QUANTITY``."""
    return {name: _of_student(workspace, recipe, loop.cohorts, student) for name, student in loop.students.items()}


def _of_student(workspace: Workspace, recipe: Recipe, cohorts: CohortSet, student: Checkpoint) -> Arrays:
    data, network, found = recipe.data, load_network(workspace, student), {}
    assert isinstance(data, PhantomData)
    drawn = {
        Subset.TEST: (data.test, data.cohort_seed + 2, data.student_marker_rates),
        Subset.DEBIASED: (data.debiased, data.cohort_seed + 3, (0.5, 0.5)),
    }
    for subset, (n, seed, rates) in drawn.items():
        cohort = open_pictures(cohorts, subset, workspace.store, student.task)
        cases = draw_cases(n, seed, marker_rates=rates, difficulty=data.difficulty)
        assert torch.equal(cases.marker, cohort.markers)
        logits = predict_logits(network, cohort.images)
        maps = attribute(network, cohort.images, class_margin(logits.argmax(1)), explainer="cam")
        found[f"{subset}/probability"] = logits.softmax(1)[:, 1].double().numpy()
        found[f"{subset}/labels"] = cohort.labels.double().numpy()
        shares = {
            "outside_share": mass_on(maps, marker_region(cases)),
            "neighbourhood_share": mass_on(maps, marker_region(cases, NEIGHBOURHOOD)),
            "inside_share": mass_on(maps, cohort.masks > 0),
        }
        for quantity, share in shares.items():
            hidden = ~cases.marker if quantity != "inside_share" else torch.zeros_like(cases.marker)
            found[f"{subset}/{quantity}"] = share.masked_fill(hidden, float("nan")).numpy()
    pairs = predict_logits(network, open_pictures(cohorts, Subset.MARKER_PAIRS, workspace.store, student.task).images).softmax(1)[:, 1]
    found["pairs/marker_effect"] = (pairs[0::2] - pairs[1::2]).abs().double().numpy()
    return found


def figures_of(measured: Sequence[Mapping[str, Arrays]]) -> dict[str, object]:
    """Return the figures over seeds and cases: means with 95 % intervals, training runs and patients crossed."""
    names = [name for name in STUDENTS if name in measured[0]]
    stacked = {name: {key: np.stack([one[name][key] for one in measured]) for key in measured[0][name]} for name in names}
    figures: dict[str, object] = {}
    for subset in (Subset.DEBIASED, Subset.TEST):
        for quantity in ("outside_share", "neighbourhood_share", "inside_share"):
            values = {name: stacked[name][f"{subset}/{quantity}"] for name in names}
            figures |= {f"{quantity}_{name}_{subset}": _shown(mean_of(own), own) for name, own in values.items()}
            figures |= {
                f"{quantity}_{one}_minus_{other}_{subset}": _shown(mean_of(values[one] - values[other]), values[one])
                for one, other in _pairs(names)
            }
        labels = stacked["before"][f"{subset}/labels"][0].astype(np.int64)
        curves = {name: auc_of(stacked[name][f"{subset}/probability"], labels) for name in names}
        shape = stacked["before"][f"{subset}/probability"]
        figures |= {f"auc_{name}_{subset}": _shown(curve, shape) for name, curve in curves.items()}
        figures |= {
            f"auc_change_{one}_against_{other}_{subset}": _shown(_less(curves[one], curves[other]), shape) for one, other in _pairs(names)
        }
    effects = {name: stacked[name]["pairs/marker_effect"] for name in names}
    figures |= {f"marker_effect_{name}": _shown(mean_of(own), own) for name, own in effects.items()}
    figures |= {f"relative_fall_{one}_against_{other}": _fall(stacked, one, other) for one, other in _pairs(names)}
    return figures


def _pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    return [(one, other) for one in TAUGHT if one in names for other in ("before", "control")]


def _fall(stacked: Mapping[str, Arrays], one: str, other: str) -> dict[str, float]:
    """Return by which share the attribution on the marker fell, under each seed: mean, the least and the largest."""
    means = {name: np.nanmean(stacked[name][f"{Subset.DEBIASED}/outside_share"], axis=1) for name in (one, other)}
    falls = 1 - means[one] / means[other]
    return {
        "mean": round(float(falls.mean()), 4),
        "least": round(float(falls.min()), 4),
        "most": round(float(falls.max()), 4),
        "n": len(falls),
    }


def _less(first: Statistic, second: Statistic) -> Statistic:
    return lambda rows, seed: first(rows, seed) - second(rows, seed)


def _shown(statistic: Statistic, values: NDArray[np.float64]) -> dict[str, float]:
    found: CrossedEstimate = crossed_estimate(statistic, [str(row) for row in range(values.shape[1])], seeds=len(values))
    return {"mean": round(found.mean, 4), "low": round(found.low, 4), "high": round(found.high, 4), "n": found.n}


def verdicts(workspace: Workspace, recipe: Recipe, loops: Sequence[Loop]) -> dict[str, object]:
    """Return what the gate says of each student that feedback taught, under each seed: a student is registered or refused by itself."""
    found: dict[str, object] = {}
    for name in TAUGHT:
        judged = []
        for loop in loops:
            own = {
                who: measure_attention(workspace, loop.students[who], loop.cohorts, loop.directives[name], "cam")
                for who in (name, "control")
            }
            scored = {who: (evaluate_model(workspace, recipe.name, loop.cohorts, loop.students[who], loop.students[who]),) for who in own}
            compared = Compared(
                compare_arms(workspace, loop.cohorts, scored[name], scored["control"]),
                Attention([own[name]], ("eval",)),
                Attention([own["control"]], ("eval",)),
            )
            judged.append(judge(name, {"control": compared}))
        found[f"gate_passes_{name}"] = sum(one.passed for one in judged)
        failed = [finding.requirement for one in judged for finding in one.findings if not finding.holds]
        found[f"gate_refusals_{name}"] = dict(Counter(failed))
    return found


def numbers_of(figures: Mapping[str, object]) -> dict[str, float]:
    """Return figures as a number each: ``NAME`` is the mean of an estimate, ``NAME_low`` an end of it; of several ``NAME_0`` is the first."""
    found: dict[str, float] = {}
    for name, value in figures.items():
        parts = dict(enumerate(value)) if isinstance(value, list) else value
        if not isinstance(parts, dict):
            found[name] = float(parts)
            continue
        found |= {name if part == "mean" else f"{name}_{part}": float(number) for part, number in parts.items()}
    return found


def main() -> None:
    """Measure and print."""
    as_json = asks_for_json(__doc__)
    torch.set_num_threads(1)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        workspace, recipe = local_workspace(Path(scratch)), recipe_of(SEEDS)
        cohorts = prepare_cohorts(workspace, recipe.cohorts(), "")
        teacher = train_teacher(workspace, recipe.teacher_training(), cohorts)
        loops, measured = [], []
        for seed in SEEDS:
            loops.append(run_loop(workspace, recipe, cohorts, teacher, seed, ReaderOptions(seed=seed, strength=STRENGTH)))
            measured.append(held_out(workspace, recipe, loops[-1]))
            if not as_json:
                print(f"seed {seed} ({time.perf_counter() - started:.0f} s): {figures_of(measured[-1:])}", flush=True)
        figures = {**figures_of(measured), **verdicts(workspace, recipe, loops)}
    said = [loop.directives["after"] for loop in loops]
    figures |= {
        "studies_that_teach": [len(one.of_part("train")) for one in said],
        "studies_that_judge": [len(one.of_part("eval")) for one in said],
    }
    figures |= {"seconds": round(time.perf_counter() - started), "strength": STRENGTH}
    sys.stdout.write(json.dumps({"figures": numbers_of(figures), "peers": {}, "n": len(SEEDS)}) + "\n")


if __name__ == "__main__":
    main()
