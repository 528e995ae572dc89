"""The scheduled flow: recipes to registered models and reports, driven by a Prefect server and a process work pool.

Deployed by ``flows/prefect.yaml``; what is finished is remembered by the stages, so a night without new data costs a minute. Parameters
of a deployment lie in clear in the server's database: the folder of the studies is named by ``MEDKD_STUDIES`` on the worker, as
``MEDKD_DATA`` names that of the recipes' data.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from prefect.runtime import deployment

from data_contracts import SourceError
from flows.confidential_call import fail_in_private
from flows.environment import data_root
from flows.orchestration import discreet_flow
from flows.pipeline import pipeline
from flows.plan import workers_for
from flows.policy import read_policy
from flows.start import start_engine
from flows.summary import run_summary
from medkd.storage.output import RUN, claim, require_source
from medkd.storage.workspace import Workspace, local_workspace
from medkd.training.recipes import read_recipe

STUDIES = "MEDKD_STUDIES"


def run_nightly(
    recipes: list[str],
    out: str = "runs/nightly",
    studies: str | None = None,
    tracking_uri: str | None = None,
    overrides: dict[str, Any] | None = None,
    policy: str | None = None,
    candidate: bool = False,
) -> dict[str, Any]:
    """Take recipes from data to registered models; with ``studies``, ingest that folder and report its test patients.

    Args:
        recipes: recipe files, relative to the deployment's working directory.
        out: folder of the run; the same folder every night, so that only what is new is computed.
        studies: folder of DICOM; by default what ``MEDKD_STUDIES`` names, or none. A deployment gives none: its parameters are kept in clear.
        tracking_uri: MLflow server; by default the run's own database.
        overrides: dotted recipe fields and values, for all recipes.
        policy: what is done about findings of ingestion: as ``medkd ingest --policy``.
        candidate: let the alias ``candidate`` stand at the best student of each recipe.

    Raises:
        SourceError: ``STUDIES_IN_PARAMETERS``; else as what it runs, the kind and the code of the error alone: its sentence lies in
            ``quarantine/error.txt`` of the run.
    """
    # deployment.id is set only in a run that a deployment started: a call from Python keeps its arguments to itself.
    if studies is not None and deployment.id is not None:
        raise SourceError(
            "STUDIES_IN_PARAMETERS",
            f"expected the folder of studies in {STUDIES} of the worker, got it among the parameters of the deployment, which Prefect keeps "
            "in clear; deploy without it",
        )
    arguments = (recipes, out, studies or os.environ.get(STUDIES), tracking_uri, overrides, policy, candidate)
    try:
        return _run(*arguments)
    except Exception as error:
        failed = error
    # Outside of the handler: Prefect would write down the first error as the context of the second.
    fail_in_private(failed, Path(out).resolve())


def _run(
    recipes: list[str],
    out: str,
    studies: str | None,
    tracking_uri: str | None,
    overrides: dict[str, Any] | None,
    policy: str | None,
    candidate: bool,
) -> dict[str, Any]:
    started, root = time.perf_counter(), Path(out).resolve()
    chosen = tuple(read_recipe(Path(name), overrides) for name in recipes)
    if studies is not None:
        require_source(Path(studies))
    claim(root, RUN)
    # Where models go to a server only its folder, which is made here, and its data root are used.
    embedded = local_workspace(root, data_root=data_root())
    workspace = embedded if tracking_uri is None else Workspace(root, tracking_uri, data_root=embedded.data_root)
    with start_engine("prefect", root, workers=workers_for(chosen)):
        result = pipeline(workspace, chosen, None if studies is None else Path(studies), read_policy(policy), candidate=candidate)
    return run_summary(result, workspace, engine="prefect", seconds=time.perf_counter() - started, project=Path.cwd())


nightly = discreet_flow()(run_nightly, name="nightly", validate_parameters=True, persist_result=False)
