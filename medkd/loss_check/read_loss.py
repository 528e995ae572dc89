"""A loss as a check asks it: an entry of the catalogue, or a callable in somebody's Python file."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from data_contracts import CatalogueError
from medkd.catalogue import LOSSES
from medkd.knowledge.interface import LiveKnowledge
from medkd.task_context import TaskContext
from medkd.trace import Sample, layer_map_of, trace

#: A file longer than this is no loss.
MAX_BYTES = 1 << 20
TASKS = ("classification", "segmentation")


@dataclass(frozen=True)
class LossUnderCheck:
    """A loss and what its file says of it.

    Attributes:
        name: of the loss.
        source: ``catalogue``, or the file's name.
        file: where its code lies.
        value: (student, teacher, sample) -> scalar; both networks have a ``layer_map``.
        needs: as declared, None where nothing is.
        tasks: that it is for.
        dims: numbers of spatial dimensions that it is for.
        min_classes: classes that it needs.
        minimum_at_teacher: whether a student equal to its teacher is at the minimum; None where nothing is declared.
        stops_gradient: why a part of the value is meant to carry no gradient; empty where none is.
        unpaired: why it does not matter whose answers of the teacher it is given; empty where it does.
        incompatible: why it cannot work in a context, or None.
    """

    name: str
    source: str
    file: str
    value: Callable[[nn.Module, nn.Module, Sample], Any]
    needs: frozenset[str] | None
    tasks: tuple[str, ...]
    dims: tuple[int, ...]
    min_classes: int
    minimum_at_teacher: bool | None
    stops_gradient: str
    unpaired: str
    incompatible: Callable[[TaskContext], str | None]


def catalogue_loss(name: str) -> LossUnderCheck:
    """Return an entry of the catalogue with its default options.

    Raises:
        CatalogueError: ``CATALOGUE_UNKNOWN`` with what is nearly called so, ``LOSS_TASK`` for a loss of detectors.
    """
    entry = LOSSES.entry(name)
    return replace(
        _described(entry.name, entry.module, _of_trace(entry.function)), source="catalogue", incompatible=entry.incompatible_reason
    )


def file_loss(path: Path, function: str | None = None) -> LossUnderCheck:
    """Import a file, which runs its code, and return the loss in it.

    Args:
        path: Python file.
        function: name of the callable; None takes ``loss``, or else the one that is called as the file is.

    Raises:
        CatalogueError: ``LOSS_FILE`` when there is no Python file, ``LOSS_UNREADABLE`` when its import fails, ``LOSS_SIGNATURE`` when it holds no
            callable of that name or one that takes other arguments.
    """
    module = _imported(path)
    found = next((name for name in ([function] if function else ["loss", path.stem]) if callable(getattr(module, name, None))), None)
    if found is None:
        wanted = repr(function) if function else f"'loss' or {path.stem!r}"
        raise CatalogueError("LOSS_SIGNATURE", f"expected {path.name} to define a callable {wanted}, it does not; name it with --function")
    loss = getattr(module, found)
    positional = _positional(loss)
    if positional == 3:
        return _described(path.stem if found == "loss" else found, module, _of_trace(loss))
    if positional == 4:
        return _described(path.stem if found == "loss" else found, module, _of_networks(loss))
    raise CatalogueError(
        "LOSS_SIGNATURE",
        f"expected {found}(student_network, teacher_network, images, labels), or {found}(student, teacher, sample) as in the catalogue, "
        f"got {positional} positional arguments in {path.name}",
    )


def _described(name: str, module: ModuleType, value: Callable[[nn.Module, nn.Module, Sample], Any]) -> LossUnderCheck:
    facts = vars(module)
    file = inspect.getfile(module)
    tasks = tuple(task for task in TASKS if task in facts.get("TASKS", TASKS))
    if not tasks:
        raise CatalogueError(
            "LOSS_TASK",
            f"expected a loss for {' or '.join(TASKS)}, {name} is for {', '.join(sorted(facts['TASKS']))}: no small networks do that here",
        )
    return LossUnderCheck(
        name=name,
        source=Path(file).name,
        file=file,
        value=value,
        needs=frozenset(facts["NEEDS"]) if "NEEDS" in facts else None,
        tasks=tasks,
        dims=_dims(facts.get("DIMS", (2, 3)), name),
        min_classes=int(facts.get("MIN_CLASSES", 2)),
        minimum_at_teacher=facts.get("MINIMUM_AT_TEACHER"),
        stops_gradient=str(facts.get("STOPS_GRADIENT", "")),
        unpaired=str(facts.get("UNPAIRED", "")),
        incompatible=lambda _: None,
    )


def _dims(said_dims: Any, name: str) -> tuple[int, ...]:
    """Return the numbers of spatial dimensions that a file says it is for, or refuse what is none."""
    if not isinstance(said_dims, tuple | list | set | frozenset) or not said_dims or not set(said_dims) <= {2, 3}:
        raise CatalogueError("LOSS_SIGNATURE", f"expected DIMS of {name} to hold 2, 3 or both, as in DIMS = (2,), got {said_dims!r}")
    return tuple(sorted(said_dims))


def _of_trace(loss: Callable[..., Any]) -> Callable[[nn.Module, nn.Module, Sample], Any]:
    """Return a loss of the catalogue's convention, asked as training asks it."""

    def value(student: nn.Module, teacher: nn.Module, sample: Sample) -> Any:
        layer_map = layer_map_of(student)
        layers = (layer_map.cam_layer, *layer_map.encoder_blocks(), *layer_map.deep_heads)
        return loss(trace(student, sample.inputs, layers=layers), LiveKnowledge(teacher, sample.inputs), sample)

    return value


def _of_networks(loss: Callable[..., Any]) -> Callable[[nn.Module, nn.Module, Sample], Any]:
    return lambda student, teacher, sample: loss(student, teacher, sample.image, sample.labels)


def _positional(loss: Callable[..., Any]) -> int:
    """Return how many positional arguments a callable cannot do without."""
    try:
        parameters = inspect.signature(loss).parameters.values()
    except (TypeError, ValueError):
        return -1
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty for p in parameters)


def require_file(path: Path) -> None:
    """Refuse what is no Python file.

    Raises:
        CatalogueError: ``LOSS_FILE``.
    """
    if not path.is_file() or path.suffix != ".py":
        state = "a folder" if path.is_dir() else "no Python file (.py)" if path.is_file() else "nothing"
        raise CatalogueError("LOSS_FILE", f"expected a Python file with a loss, or the name of a loss of the catalogue, {path} is {state}")
    if path.stat().st_size > MAX_BYTES:
        raise CatalogueError("LOSS_FILE", f"expected a Python file of at most {MAX_BYTES} bytes, {path} has {path.stat().st_size}")


def _imported(path: Path) -> ModuleType:
    require_file(path)
    spec = importlib.util.spec_from_file_location(f"checked_loss_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise CatalogueError("LOSS_FILE", f"expected a Python file with a loss, {path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    # Its neighbours are its own to import.
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise CatalogueError("LOSS_UNREADABLE", f"expected {path.name} to be imported, it raised {said(error)}") from error
    finally:
        sys.path.pop(0)
    return module


def said(error: BaseException) -> str:
    """Return an error of somebody else's code in one line."""
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
