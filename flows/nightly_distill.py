"""Recipes to registered models when something changed: their data, the studies that came in, the recipes themselves or the code."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_contracts import Recipe
from data_contracts.private import open_private
from flows.environment import data_root
from flows.plan import workers_for
from flows.policy import read_policy
from flows.start import start_engine
from flows.summary import run_summary
from medkd.cohorts.prepare import data_folder
from medkd.storage.output import RUN, claim, require_source
from medkd.storage.stage import code_version
from medkd.storage.workspace import Workspace, local_workspace
from medkd.training.recipes import read_recipe


@dataclass(frozen=True)
class NightlyRun:
    """What a night is about.

    Attributes:
        recipes: files.
        out: folder of the run, the same every night.
        studies: folder of DICOM; None ingests none.
        tracking_uri: MLflow server; None is the run's own database.
        overrides: dotted recipe fields and values, for all recipes.
        policy: what is done about findings of ingestion.
        candidate: let the alias ``candidate`` stand at the best student of each recipe.
    """

    recipes: tuple[Path, ...]
    out: Path
    studies: Path | None = None
    tracking_uri: str | None = None
    overrides: dict[str, Any] | None = None
    policy: str | None = None
    candidate: bool = False

    def read(self) -> tuple[Recipe, ...]:
        """Return the recipes."""
        return tuple(read_recipe(path, self.overrides) for path in self.recipes)


def distill_when_changed(wanted: NightlyRun) -> dict[str, Any] | None:
    """Run the recipes and return the summary; None, in a second or two, when nothing changed since they were run last."""
    started, recipes = time.perf_counter(), wanted.read()
    if wanted.studies is not None:
        require_source(wanted.studies)
    claim(wanted.out, RUN)
    state = state_of(wanted, recipes)
    if _last_state(wanted.out) == state:
        return None
    from flows.pipeline import pipeline

    # Where models go to a server only its folder, which is made here, and its data root are used.
    embedded = local_workspace(wanted.out, data_root=data_root())
    workspace = embedded if wanted.tracking_uri is None else Workspace(wanted.out, wanted.tracking_uri, data_root=embedded.data_root)
    with start_engine("prefect", wanted.out, workers=workers_for(recipes)):
        result = pipeline(workspace, recipes, wanted.studies, read_policy(wanted.policy), candidate=wanted.candidate)
    with open_private(wanted.out / _STATE, "w", encoding="utf-8") as stream:
        stream.write(state)
    return run_summary(result, workspace, engine="prefect", seconds=time.perf_counter() - started, project=Path.cwd())


#: What was there when the recipes were run last, below the folder of the run.
_STATE = "nightly.sha256"


def state_of(wanted: NightlyRun, recipes: Sequence[Recipe]) -> str:
    """Return a digest of everything that a run depends on: recipes, code, and names, sizes and times of the files of data."""
    sources = [data_folder(recipe.data, data_root().resolve()) for recipe in recipes]
    listed = [_listing(folder) for folder in (*sources, wanted.studies)]
    asked = [wanted.tracking_uri, wanted.policy, wanted.candidate, [recipe.digest() for recipe in recipes]]
    return hashlib.sha256(json.dumps([asked, listed, code_version("flows.pipeline")]).encode()).hexdigest()


def _listing(folder: Path | None) -> list[tuple[str, int, float]]:
    if folder is None:
        return []
    found = []
    for place, folders, names in os.walk(folder):
        folders.sort()
        for path in (Path(place, name) for name in sorted(names)):
            state = path.stat()
            found.append((str(path.relative_to(folder)), state.st_size, state.st_mtime))
    return found


def _last_state(out: Path) -> str | None:
    try:
        return (out / _STATE).read_text(encoding="utf-8")
    except OSError:
        return None
