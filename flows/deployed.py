"""What holds for every deployed flow: parameters that Prefect checks and does not write down, the mark of its process, and a word when it fails.

A deployment's own parameters lie in clear in the server's database. Folders of patients' data are therefore named by the environment of the worker:
``MEDKD_STUDIES`` the folder that studies arrive in, ``MEDKD_DATA`` that of the recipes' data.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec

from prefect import Flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from data_contracts import MedkdError, SourceError
from flows.confidential_call import WorkFailed, fail_in_private
from flows.notify import tell_of_failure
from flows.orchestration import discreet_flow, tag_run
from medkd.storage.output import RUN, claim, require_source
from medkd.storage.process_mark import PROCESS, process_mark

P = ParamSpec("P")
STUDIES = "MEDKD_STUDIES"


def deployed(function: Callable[P, str]) -> Flow[..., Any]:
    """Make a flow for deployment of a function with ``out``, the folder that it works in, which returns in a few words what it did.

    The words are the state's message, so a list of runs says what each of them found to do. The sentence of an error lies in
    ``quarantine/error.txt`` of ``out``; the state has its kind and code.
    """

    @functools.wraps(function)
    def body(*args: P.args, **kwargs: P.kwargs) -> State[None]:
        """Run the function and return what it did as a state."""
        # By which it is known to be dead when it is.
        tag_run(f"{PROCESS}:{process_mark()}")
        try:
            return Completed(message=function(*args, **kwargs))
        except Exception as error:
            failed = error
        # Outside of the handler: Prefect would write down the first error as the context of the second.
        given = inspect.signature(function).bind(*args, **kwargs)
        given.apply_defaults()
        folder = Path(given.arguments["out"]).resolve()
        try:
            claim(folder, RUN)  # a folder with nothing but the sentence in it would be nobody's, and refused the next time
        except MedkdError:
            raise WorkFailed.of(failed) from None
        fail_in_private(failed, folder)

    # With the types themselves: as text Prefect would look them up in this module.
    body.__signature__ = inspect.signature(function, eval_str=True)  # type: ignore[attr-defined]
    return discreet_flow()(
        body,
        name=function.__name__.strip("_").replace("_", "-"),
        validate_parameters=True,
        persist_result=False,
        on_failure=[tell_of_failure],
        on_crashed=[tell_of_failure],
    )


def folder_of_studies() -> Path:
    """Return the folder that studies arrive in.

    Raises:
        SourceError: ``STUDIES_UNNAMED`` where the worker's environment names none; ``SOURCE_MISSING``.
    """
    named = os.environ.get(STUDIES)
    if not named:
        raise SourceError(
            "STUDIES_UNNAMED", f"expected the folder that studies arrive in, in {STUDIES} of the worker; set it and start the worker again"
        )
    require_source(Path(named))
    return Path(named)


def require_local(parameters: dict[str, Any]) -> None:
    """Refuse folders of studies among the parameters of a deployment.

    Raises:
        SourceError: ``STUDIES_IN_PARAMETERS``.
    """
    from prefect.runtime import deployment

    # deployment.id is set only in a run that a deployment started: a call from Python keeps its arguments to itself.
    if parameters.get("studies") is not None and deployment.id is not None:
        raise SourceError(
            "STUDIES_IN_PARAMETERS",
            f"expected the folder of studies in {STUDIES} of the worker, got it among the parameters of the deployment, which Prefect keeps "
            "in clear; deploy without it",
        )
