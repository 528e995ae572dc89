"""What jaxtyping's import hook, which takes a name, checks the signatures of the formulas with while tests run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from beartype import beartype

F = TypeVar("F", bound=Callable[..., object])


def check_shapes(function: F) -> F:
    """Let beartype check a function's calls, but not those of functions inside functions: they would be prepared anew at every call."""
    return function if "<locals>" in function.__qualname__ else beartype(function)
