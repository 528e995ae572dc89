"""The released students in every form that needs no training: seconds, memory, bytes, task figure, maps, beside the ways others ask them.

``MEDKD_DATA=FOLDER nice python -m tests.benchmarks.compression --json``, one thread. Each form answers in a process of its own, all of them in turns;
speed is a ratio within a turn. Without the data sets it says so and ends with status 0.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
# Keys of patients of the released models were made with it: it is no secret (medkd/released/README.md).
os.environ["MEDKD_SECRET"] = "medkd released models, public data only"

import flows
from data_contracts import Candidate, CompressionRecipe, MadeForm, Quantisation
from tests.benchmarks.command import asks_for_json

ROUNDS = 9
RECIPES = Path(flows.__file__).parent / "recipes"
#: What is tried beside the version itself, by runtime.
CANDIDATES = {
    "int8": Candidate(quantise=Quantisation()),
    "int8_onnx": Candidate(quantise=Quantisation(by="onnx"), runtime="onnx"),
    "dynamic_onnx": Candidate(quantise=Quantisation(by="onnx", method="dynamic"), runtime="onnx"),
}
PEERS = {"hippocampus": ("plain", "monai"), "hippocampus-fast": ("plain", "monai"), "busbra": ("plain",)}
#: Students of each data set: the fastest of them stands for it.
STUDENTS = {"hippocampus": ("hippocampus", "hippocampus-fast"), "busbra": ("busbra",)}
PEER_MODULE = "tests.benchmarks.peer_forms"


def main() -> None:
    """Measure and print."""
    as_json = asks_for_json(__doc__)
    data = Path(os.environ.get("MEDKD_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not data.is_dir():
        sys.stdout.write("skipped: real data absent: set MEDKD_DATA to the folder that holds it\n")
        return
    found = {}
    with tempfile.TemporaryDirectory(prefix="medkd-compression-") as scratch:
        for name in PEERS:
            found[name] = measure(name, Path(scratch) / name, data)
            if not as_json:
                for line in found[name]["text"]:
                    sys.stdout.write(line + "\n")
    figures = {f"{name}_{key}": value for name, own in found.items() for key, value in own["figures"].items()}
    # Of the data sets the worse: a headline holds for each.
    figures["student_over_teacher_speed"] = min(
        max(figures[f"{name}_student_over_teacher_speed"] for name in names) for names in STUDENTS.values()
    )
    figures["openvino_over_torch"] = min(figures[f"{names[0]}_openvino_over_torch"] for names in STUDENTS.values())
    figures["int8_verdict"] = min(figures[f"{name}_int8_verdict"] for name in found)
    figures["dice_points_lost"] = max(figures[f"{name}_points_lost"] for name in STUDENTS["hippocampus"])
    figures["fast_student_dice"] = (
        found["hippocampus-fast"]["forms"]["torch"]["task"][0] - found["hippocampus"]["forms"]["torch"]["task"][0]
    )
    figures["map_rank_correlation"] = min(value for name, value in figures.items() if "fp32_map_rank_correlation" in name)
    figures["peak_megabytes"] = max(figures[f"{name}_peak_megabytes"] for name in found)
    figures["bytes"] = max(figures[f"{name}_bytes"] for name in found)
    said = {
        "figures": {name: round(value, 5) for name, value in figures.items()},
        "peers": {name: own["peers"] for name, own in found.items()},
        "forms": {name: own["forms"] for name, own in found.items()},
        "verdicts": {name: own["verdicts"] for name, own in found.items()},
        "processor": next(iter(found.values()))["processor"],
        "n": {name: own["n"] for name, own in found.items()},
    }
    sys.stdout.write(json.dumps(said) + "\n")


def measure(name: str, root: Path, data: Path) -> dict:
    """Return figures, peers and verdicts of one released student."""
    import safetensors.numpy

    from medkd.cohorts.prepare import prepare_cohorts, source_digest
    from medkd.compression.answer_cases import answer_form
    from medkd.compression.candidates import fetch_source
    from medkd.compression.compare_forms import MeasuredForms, compare_forms
    from medkd.compression.make_form import BASELINES, make_form
    from medkd.compression.processor import processor
    from medkd.compression.time_forms import form_job, time_jobs, typical_cases
    from medkd.registry.publish import open_registry
    from medkd.released.install import install_released
    from medkd.released.released_models import released_models
    from medkd.storage.workspace import local_workspace
    from medkd.training.recipes import read_recipe

    workspace = local_workspace(root, data_root=data)
    registry = open_registry(workspace)
    (installed,) = install_released(registry, released_models((name,)))
    recipe = read_recipe(RECIPES / f"{name.replace('-', '_')}.yaml")
    cohorts = prepare_cohorts(workspace, recipe.cohorts(), source_digest(recipe.data, data))
    wanted = CompressionRecipe(name=name, recipe=name, model=installed.uri, candidates=CANDIDATES)
    source = fetch_source(workspace, registry, wanted, cohorts)
    own = source.checkpoint
    made = {key: (make_form(workspace, key, one, own, cohorts, own.seed),) for key, one in {**BASELINES, **CANDIDATES}.items()}
    answers = {key: (answer_form(workspace, form, cohorts, None),) for key, (form,) in made.items() if form.refusal is None}
    teacher = MadeForm(name="teacher", seed=0, checkpoint=source.teacher, runtime="torch")
    with tempfile.TemporaryDirectory() as scratch:
        cases = Path(scratch) / "cases.safetensors"
        arrays = typical_cases(cohorts, workspace.store, own.task)
        safetensors.numpy.save_file(arrays, cases)
        jobs = {key: form_job(workspace, form, cases) for key, form in [*((key, made[key][0]) for key in answers), ("teacher", teacher)]}
        jobs |= {peer: form_job(workspace, made["torch"][0], cases) for peer in PEERS[name]}
        count = sum(key.startswith("values/") for key in arrays)
        costs = time_jobs(jobs, count, ROUNDS, Path(scratch), dict.fromkeys(PEERS[name], PEER_MODULE))
    measured = MeasuredForms(made, answers, costs, processor())
    report = compare_forms(workspace, wanted, source.model.lineage, cohorts, measured)
    return summary(name, report, costs)


def summary(name: str, report, costs) -> dict:
    """Return what is said of one student."""
    forms = {one.name: one for one in report.forms}
    within = [one for one in report.forms if not one.refusals and one.name != "torch"]
    best = min(within, key=lambda one: one.seconds_per_case)
    over_teacher, openvino = costs[best.name].speed_over(costs["teacher"]), costs["openvino"].speed_over(costs["torch"])
    figures = {
        "student_over_teacher_speed": over_teacher.mean,
        "openvino_over_torch": openvino.mean,
        "points_lost": 100 * -best.task_difference.mean,
        "int8_verdict": float(not forms["int8"].refusals),
        "int8_onnx_verdict": float(not forms["int8_onnx"].refusals),
        "peak_megabytes": best.peak_megabytes,
        "bytes": float(best.bytes),
        "seconds_per_case": best.seconds_per_case,
    }
    for one in report.forms:
        if one.map_rank_correlation is not None:
            figures[f"{one.name}_{one.precision}_map_rank_correlation"] = one.map_rank_correlation.mean
    peers = {
        key: {
            "ms": round(1000 * costs[key].median, 3),
            "MB": round(costs[key].peak_megabytes, 1),
            **ranged(costs[best.name].speed_over(costs[key])),
        }
        for key in (*PEERS[name], "torch", "onnx", "teacher")
    }
    rows = {
        one.name: {
            "task": interval(one.task), "difference": interval(one.task_difference), "calibration": interval(one.calibration),
            "map_rank_correlation": interval(one.map_rank_correlation), "map_sign_stability": interval(one.map_sign_stability),
            "map_lesion_share": interval(one.map_lesion_share), "ms": round(1000 * one.seconds_per_case, 3), "speed": interval(one.speed),
            "speed_same_runtime": interval(one.speed_same_runtime), "MB": round(one.peak_megabytes, 1), "bytes": one.bytes,
            "mWh": round(1000 * one.watt_hours_per_case, 4),
        }
        for one in report.forms
    }  # fmt: skip
    verdicts = {key: [f"{why.code}: {why.why}" for why in one.refusals] or ["within bounds"] for key, one in forms.items()}
    text = [
        f"{name}: best form {best.name}, {over_teacher.mean:.1f} times as fast as the teacher",
        *(f"  {key} {row}" for key, row in rows.items()),
    ]
    n = {
        "patients": report.forms[0].task.n,
        "turns": ROUNDS,
        "best": best.name,
        "over_teacher": interval(over_teacher),
        "openvino": interval(openvino),
    }
    return {"figures": figures, "peers": peers, "forms": rows, "verdicts": verdicts, "processor": report.processor, "n": n, "text": text}


def interval(figure) -> list[float] | None:
    """Return mean, low and high."""
    return None if figure is None else [round(value, 4) for value in (figure.mean, figure.low, figure.high)]


def ranged(ratio) -> dict[str, float]:
    """Return how many times as slow as the best form a peer is, with the range of the turns."""
    return {"slower": round(ratio.mean, 2), "least": round(ratio.low, 2), "most": round(ratio.high, 2)}


if __name__ == "__main__":
    main()
