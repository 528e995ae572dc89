"""Flows and tasks: Prefect's, with what holds for all of ours.

A function marked :func:`flow` has a ``prefect.Flow`` and one made by :func:`task` a ``prefect.Task``. Under ``--engine prefect`` a call of a flow
is a flow run, and the calls that :func:`submit_all` fans out are task runs of it. A flow that is called inside another is a part of that
one's run: one task runner, and one picture, for the whole. Under ``--engine none``, and where nothing was put in charge, the same functions
are called without Prefect, which is not even imported then.

What holds for all: no result is kept by Prefect, which would trust it blindly (a stage remembers its own and verifies every byte); neither
parameters nor the sentences of errors are written down, which may name people's files; what failed for the network, a server or a lost worker is
tried again, our own refusals are not.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar
from uuid import UUID

from flows.confidential_call import Outcome, WorkFailed, confidential
from flows.engine import current_engine, may_pass
from flows.work import Work

if TYPE_CHECKING:
    from prefect import Flow, Task
    from prefect.client.schemas.objects import State, TaskRun
    from prefect.task_runners import TaskRunner

P = ParamSpec("P")
R = TypeVar("R")
#: Seconds before each further try of a task.
RETRY_DELAYS_S = (2.0, 15.0)


class MedkdFlow(Generic[P, R]):
    """A flow: a flow run under Prefect, a part of the run of the flow that calls it, or a plain call under another engine.

    Attributes:
        fn: the plain function.
        name: of the flow.

    What else a ``prefect.Flow`` has (``serve``, ``deploy``, ``with_options``, …) is that of :attr:`prefect`.
    """

    def __init__(self, fn: Callable[P, R]) -> None:
        functools.update_wrapper(self, fn)
        self.fn, self.name = fn, _key(fn)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run it under the engine in charge, and raise what it raises."""
        return current_engine().run_flow(self, *args, **kwargs)

    @functools.cached_property
    def prefect(self) -> Flow[..., Any]:
        """Return the flow of Prefect.

        Made when it is asked for: Prefect takes seconds to be imported, and to make schemas of all parameters, which most commands do without.
        """
        return discreet_flow()(self.fn, name=self.name, persist_result=False)

    def __getattr__(self, name: str) -> Any:
        """Return what a flow of Prefect has."""
        if name.startswith("__") or name in ("fn", "name", "prefect"):
            raise AttributeError(name)
        return getattr(self.prefect, name)

    def recorded(self, task_runner: TaskRunner[Any], flow_run_name: str, tags: Sequence[str], outcome: Outcome[R]) -> Flow[..., Any]:
        """Return the flow as an engine runs it: what comes of it goes into ``outcome``.

        Of results, and of errors that are raised, Prefect writes down where they would be kept, which is a path of the user's.
        """
        from prefect.states import Completed, Failed

        def body(*args: P.args, **kwargs: P.kwargs) -> State[None]:
            tag_run(*tags)
            failed = outcome.of(functools.partial(self.fn, *args, **kwargs))
            return Completed() if failed is None else Failed(message=failed)

        # The names of the parameters without their types: Prefect would make a schema of each, and nothing comes from outside here.
        body.__signature__ = without_types(self.fn)  # type: ignore[attr-defined]
        return discreet_flow()(
            body,
            name=self.name,
            description=inspect.getdoc(self.fn),
            flow_run_name=flow_run_name,
            task_runner=task_runner,
            validate_parameters=False,
            persist_result=False,
        )


class MedkdTask(Generic[P, R]):
    """A task: its calls are task runs under Prefect, and compute in the worker processes of the run.

    Attributes:
        fn: the plain function.
        name: of the task.

    What else a ``prefect.Task`` has (``submit``, ``map``, ``with_options``, …) is that of :attr:`prefect`.
    """

    def __init__(
        self, fn: Callable[P, R], name: str | None = None, said: Callable[[R], str] | None = None, *, trains: bool = False
    ) -> None:
        functools.update_wrapper(self, fn)
        self.fn, self.name, self._said, self._trains = fn, name or _key(fn), said, trains

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the plain function."""
        return self.fn(*args, **kwargs)

    @functools.cached_property
    def prefect(self) -> Task[P, R]:
        """Return the task of Prefect, of whose errors it is told kind and code."""
        from prefect import Task
        from prefect.cache_policies import NO_CACHE

        return Task(
            confidential(Work(self.fn, self._said, trains=self._trains)),
            name=self.name,
            description=inspect.getdoc(self.fn),
            cache_policy=NO_CACHE,
            persist_result=False,
            retries=len(RETRY_DELAYS_S),
            retry_delay_seconds=list(RETRY_DELAYS_S),
            retry_condition_fn=may_pass_next_time,
        )

    def __getattr__(self, name: str) -> Any:
        """Return what a task of Prefect has."""
        if name.startswith("__") or name in ("fn", "name", "prefect"):
            raise AttributeError(name)
        return getattr(self.prefect, name)


@functools.cache
def discreet_flow() -> type[Flow[..., Any]]:
    """Return the class of Prefect's flows whose parameters are not written down."""
    from prefect import Flow

    class DiscreetFlow(Flow[P, R]):
        """A flow whose parameters Prefect does not write down."""

        def serialize_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
            """Return which parameters were given, and none of their values."""
            return {name: None if value is None else "not recorded" for name, value in parameters.items()}

    return DiscreetFlow


def tag_run(*tags: str) -> None:
    """Give the flow run that this is a part of more tags, and its task runs none.

    ``prefect.tags`` would give them to the task runs too, and each of those asks the server for a slot of each tag before it begins: half a
    second a task.
    """
    from prefect.client.orchestration import get_client
    from prefect.runtime import flow_run

    if flow_run.id is None:
        return
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(UUID(flow_run.id))
        client.update_flow_run(run.id, tags=sorted({*run.tags, *tags}))


def without_types(function: Callable[..., Any]) -> inspect.Signature:
    """Return a signature without annotations."""
    given = inspect.signature(function).parameters.values()
    return inspect.Signature([one.replace(annotation=inspect.Parameter.empty) for one in given])


def flow(function: Callable[P, R]) -> MedkdFlow[P, R]:
    """Mark a function as a flow; ``fn`` is the plain function, ``prefect`` the flow of Prefect."""
    return MedkdFlow(function)


def task(
    function: Callable[P, R], *, name: str | None = None, said: Callable[[R], str] | None = None, trains: bool = False
) -> MedkdTask[P, R]:
    """Make a task of a function of medkd; ``fn`` is the plain function, ``prefect`` the task of Prefect.

    Args:
        function: found by its module and name, so that other processes find it too.
        name: of the task; by default the function's.
        said: what the log of a task run says of its result: figures, never names of files.
        trains: whether it needs a GPU for long, where there are some: then it waits for a slot of ``MEDKD_GPU_LIMIT``, where that is set.
    """
    return MedkdTask(function, name, said, trains=trains)


def may_pass_next_time(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Say whether what a task run failed for may be over when it is tried again (Prefect's ``retry_condition_fn``)."""
    failed = state.result(raise_on_failure=False)
    return isinstance(failed, WorkFailed) and failed.error is not None and may_pass(failed.error)


def submit_all(
    work: MedkdTask[..., R],
    calls: Sequence[tuple[Any, ...]],
    *,
    title: str,
    names: Sequence[str] | None = None,
    reads_disk: bool = False,
) -> list[R]:
    """Run a task once per tuple of arguments under the engine in charge; results in the order of the calls.

    Args:
        work: the task.
        calls: arguments of each call.
        title: what a person reads of the group while it runs.
        names: of each call, for logs and Prefect's task runs; by default their numbers.
        reads_disk: whether calls read folders of this machine: they run here where workers have folders of their own.
    """
    return current_engine().submit_all(work, calls, title=title, names=names, reads_disk=reads_disk)


def expect(seconds: Mapping[str, float]) -> None:
    """Say which groups of calls will come, by title, and about how long each takes: a bar can then show the time left of the whole."""
    current_engine().expect(seconds)


def _key(function: Callable[..., Any]) -> str:
    return function.__name__.replace("_", "-")
