"""The demo: the whole way of the data on invented studies, at one of two sizes."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from data_contracts import Recipe
from flows.pipeline import PipelineResult, pipeline
from flows.summary import run_summary
from medkd.phantom.dicom_studies import write_phantom_dicom
from medkd.storage.output import PHANTOM, RUN, claim
from medkd.storage.store import write_bytes
from medkd.storage.workspace import local_workspace
from medkd.training.recipes import read_recipe

RECIPES = Path(__file__).parent / "recipes"
STUDIES = {"full": 36, "smoke": 12}
_TINY_FIT = {"teacher.fit.epochs": 1, "student.fit.epochs": 1, "explain.cases": 2, "teacher.gate.enforce": False, "seeds": [0]}
_TINY = {"data.teacher": 128, "data.teacher_validation": 64, "data.test": 64, **_TINY_FIT}
#: Fields of the recipes that the sizes change: at ``smoke`` everything runs and nothing is learnt.
OVERRIDES: dict[str, dict[str, dict[str, Any]]] = {
    "full": {"phantom-classification": {}, "phantom-segmentation": {"student.fit.epochs": 4}},
    "smoke": {
        "phantom-classification": {
            **_TINY,
            "data.student": 64,
            "data.debiased": 64,
            "data.reversed": 64,
            "data.marker_pairs": 16,
            "explain.explainers": [{"name": "cam"}, {"name": "grad_cam"}, {"name": "integrated_gradients", "options": {"steps": 4}}],
        },
        "phantom-segmentation": {
            **_TINY,
            "data.student": 32,
            "data.unlabelled": 32,
            "student.fit.samples_per_epoch": 64,
            "explain.explainers": [{"name": "cam"}, {"name": "grad_cam"}],
        },
    },
}


#: Arms that the small demo goes without: another recipe of it has the same terms.
LEFT_OUT = {"smoke": {"phantom-segmentation": frozenset({"kd_explanation"})}}


def demo_recipes(size: str) -> tuple[Recipe, ...]:
    """Return the demo's recipes at a size."""
    found = []
    for name, overrides in OVERRIDES[size].items():
        recipe, without = read_recipe(RECIPES / f"{name}.yaml", overrides), LEFT_OUT.get(size, {}).get(name, frozenset())
        found.append(recipe.model_copy(update={"arms": {arm: spec for arm, spec in recipe.arms.items() if arm not in without}}))
    return tuple(found)


def run_demo(
    out: Path, *, size: str, engine: str, progress: bool, started: float, tracking_uri: str | None = None
) -> tuple[PipelineResult, dict[str, Any]]:
    """Run the demo below ``out`` under the engine in charge and write ``summary.json``; a repeated run takes up what is finished.

    ``started`` is the ``time.perf_counter()`` at which the command began.
    """
    recipes = demo_recipes(size)
    claim(out, RUN)
    workspace = local_workspace(out, progress=progress)
    workspace = workspace if tracking_uri is None else replace(workspace, tracking_uri=tracking_uri)
    claim(out / "dicom", PHANTOM)
    write_phantom_dicom(out / "dicom", studies=STUDIES[size], progress=progress)
    result = pipeline(workspace, recipes, out / "dicom")
    summary = run_summary(result, workspace, engine=engine, seconds=time.perf_counter() - started, project=Path.cwd())
    write_bytes(out / "summary.json", (json.dumps(summary, indent=1) + "\n").encode())
    return result, summary
