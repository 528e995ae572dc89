"""Where a gradient was lost: calls that cut the graph, with the line of the loss's own file that made them."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_CUTS = {
    "numpy": "passes a tensor through numpy",
    "__array__": "passes a tensor through numpy",
    "tolist": "makes numbers of a tensor",
    "item": "makes a number of a tensor",
}


class WatchedCalls(TorchFunctionMode):
    """Notes what cuts the student off while a loss is computed, and whether gradients are differentiated again.

    Args:
        student: the network whose weights are looked for.
        file: of the loss: only calls made from there are noted.
    """

    def __init__(self, student: nn.Module, file: str) -> None:
        super().__init__()
        self._weights = {id(parameter) for parameter in student.parameters()}
        self._file = file
        self.cuts: list[str] = []
        self.double_backward = False

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Note a call and make it."""
        args, kwargs = tuple(args), dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if func is torch.autograd.grad:
            self.double_backward |= bool(kwargs.get("create_graph"))
        elif name in _CUTS:
            self._note(_CUTS[name])
        elif (name == "detach" or func is Tensor.data.__get__) and args and isinstance(args[0], Tensor) and args[0].requires_grad:  # type: ignore[attr-defined]
            self._note("detaches a tensor")
        elif not torch.is_grad_enabled() and any(id(value) in self._weights for value in args):
            self._note("asks the student under torch.no_grad()")
        return func(*args, **kwargs)

    def _note(self, what: str) -> None:
        frame = sys._getframe(2)
        while frame is not None and frame.f_code.co_filename != self._file:
            frame = frame.f_back  # type: ignore[assignment]
        if frame is not None:
            code = linecache.getline(self._file, frame.f_lineno).strip()
            self.cuts.append(f"line {frame.f_lineno} {what}: {code}")

    def first_cut(self) -> str:
        """Return the cut that most likely lost the gradient, or where to look for it."""
        # A tensor is detached in order to go through numpy: the latter is what has to go.
        ordered = sorted(dict.fromkeys(self.cuts), key=lambda cut: "detaches" in cut)
        return (
            ordered[0]
            if ordered
            else "no call was seen that cuts it: look for constants, roundings (argmax, comparisons) and copies of weights"
        )
