"""A teacher as a source brings it: its network with its weights, its task, and what is to be said of it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from data_contracts import NetworkSpec, SourceError, Task
from data_contracts.foreign import SourceKind
from medkd.models._build import build_network


@dataclass(frozen=True)
class FoundTeacher:
    """A network that was trained elsewhere.

    Attributes:
        kind: of the source.
        spec: that the network is built again from.
        task: its classes are the network's own.
        network: with its weights, in eval mode.
        name: as the source calls it.
        version: as its authors count.
        authors: who made it.
        licence: of its weights.
        members: networks whose logits are averaged.
        epochs: that it was trained for, 1 where the source does not say.
        caveats: what of its preprocessing is done in another way here, or is not known.
    """

    kind: SourceKind
    spec: NetworkSpec
    task: Task
    network: nn.Module
    name: str
    version: str = ""
    authors: str = ""
    licence: str = ""
    members: int = 1
    epochs: int = 1
    caveats: tuple[str, ...] = ()


def built(spec: NetworkSpec, what: str) -> nn.Module:
    """Return the network of a specification.

    Raises:
        SourceError: ``TEACHER_UNSUPPORTED`` where it cannot be built.
    """
    from data_contracts import MedkdError

    try:
        return build_network(spec).eval()
    except MedkdError as error:
        raise unsupported(what, f"a network that can be built, got: {error}") from error


def unsupported(what: str, expected: str) -> SourceError:
    """Return the error of a source that is read well but cannot be a teacher here."""
    return SourceError("TEACHER_UNSUPPORTED", f"expected of {what} {expected}")
