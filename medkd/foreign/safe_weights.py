"""Weights of a stranger's file without running anything of it: tensors are read, code never is.

Three forms are read: safetensors; what ``torch.save`` wrote, by torch's own reader of tensors alone (``weights_only``) with numpy's scalars, which
nnU-Net keeps beside its weights; TorchScript, whose archive is read for its tensors by a reader that knows no other class.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy._core.multiarray import scalar
from torch import Tensor, nn

from data_contracts import SourceError

#: What files of nnU-Net hold beside tensors: figures of its training as numpy scalars.
_SCALARS: tuple[Any, ...] = (scalar, np.dtype, *{type(np.dtype(kind)) for kind in ("f8", "f4", "i8", "i4", "?")})
#: Keys below which training codes put the weights among other things.
_HELD_UNDER = ("network_weights", "state_dict", "model_state_dict", "model", "net")
#: What torch says of a pickle that names anything but tensors; of bytes that are no pickle it says something else.
_REFUSED = ("Unsupported global", "GLOBAL", "Unsupported class", "unrecognized function", "Can only build", "Can only create")
#: Begins of names that wrappers of training add.
_WRAPPERS = ("module.", "_orig_mod.")


def read_content(path: Path) -> Any:
    """Return what a file of weights holds: a mapping of tensors, or a training code's mapping round one.

    Raises:
        SourceError: ``WEIGHTS_UNSAFE`` for a file that would run code, ``WEIGHTS_UNREADABLE`` for one that is none.
    """
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        if _is_torchscript(path):
            return torchscript_tensors(path)
        with torch.serialization.safe_globals(list(_SCALARS)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except SourceError:
        raise
    except pickle.UnpicklingError as error:
        why = str(error)
        if any(sign in why for sign in _REFUSED):
            raise _unsafe(path, _culprit(why)) from error
        raise _unreadable(path, error) from error
    except Exception as error:  # half a file, or something else altogether, can break in any way
        raise _unreadable(path, error) from error


def read_state_dict(path: Path, *, prefix: str = "") -> dict[str, Tensor]:
    """Return the weights of a file by their names, without what wrappers of training put before them.

    Args:
        path: safetensors, or a file of torch.
        prefix: begin of the names that is cut off; those without it are left out.

    Raises:
        SourceError: as :func:`read_content`; ``WEIGHTS_UNREADABLE`` where there are no tensors.
    """
    return tensors_of(read_content(path), path, prefix=prefix)


def tensors_of(content: Any, path: Path, *, prefix: str = "") -> dict[str, Tensor]:
    """Return the weights in what a file holds; errors as :func:`read_state_dict`."""
    held = content
    for key in _HELD_UNDER:
        if isinstance(held, Mapping) and isinstance(held.get(key), Mapping):
            held = held[key]
            break
    found = {str(name): value for name, value in held.items() if isinstance(value, Tensor)} if isinstance(held, Mapping) else {}
    for begin in _WRAPPERS:
        if found and all(name.startswith(begin) for name in found):
            found = {name.removeprefix(begin): value for name, value in found.items()}
    found = {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}
    if not found:
        where = f" with names that begin with {prefix!r}" if prefix else ""
        raise SourceError("WEIGHTS_UNREADABLE", f"expected weights{where} in {path.name}, it holds none; name the file of the state dict")
    return found


def _unsafe(path: Path, what: str) -> SourceError:
    sentence = (
        f"expected tensors alone in {path.name}, it also holds {what}, which would run code; nothing of it was run: ask for safetensors"
    )
    return SourceError("WEIGHTS_UNSAFE", sentence)


def _unreadable(path: Path, error: Exception) -> SourceError:
    why = " ".join(str(error).split())[:120]
    return SourceError("WEIGHTS_UNREADABLE", f"expected weights in {path.name} (safetensors, or a state dict of torch), got {why}")


def _culprit(why: str) -> str:
    """Return the name of what torch refused, as its message has it."""
    words = [word.strip(".,`'\"") for word in why.replace("GLOBAL", "").split()]
    named = [
        word for word in words if "." in word and word.replace(".", "").replace("_", "").isalnum() and not word.startswith("torch.ser")
    ]
    return named[0][:80] if named else "an object of a class"


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


class _Module:
    """What stands for an object of a TorchScript archive: its attributes, and no behaviour."""

    def __setstate__(self, state: Any) -> None:
        vars(self).update(state if isinstance(state, dict) else {})


class _TensorReader(pickle.Unpickler):
    """Reads the pickle of a TorchScript archive: objects become their attributes, storages come from the archive, everything else is refused."""

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(io.BytesIO(archive.read(f"{root}/data.pkl")))
        self._archive, self._root = archive, root

    def find_class(self, module: str, name: str) -> Any:
        """Return the few things that a network's archive may name."""
        known: dict[tuple[str, str], Any] = {
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
            ("collections", "OrderedDict"): OrderedDict,
            ("torch.jit._pickle", "build_intlist"): list,
            ("torch.jit._pickle", "build_doublelist"): list,
            ("torch.jit._pickle", "build_boollist"): list,
            ("torch.jit._pickle", "build_tensorlist"): list,
            ("torch.jit._pickle", "restore_type_tag"): lambda value, _: value,
        }
        if (module, name) in known:
            return known[module, name]
        if module.startswith("__torch__"):
            return _Module
        if module == "torch" and name.endswith("Storage"):
            return name
        raise pickle.UnpicklingError(f"weights_only: {module}.{name}")

    def persistent_load(self, pid: Any) -> tuple[bytes, torch.dtype]:
        """Return the bytes of a storage and their kind."""
        _, kind, key, *_ = pid
        kinds: dict[str, torch.dtype] = {
            "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16, "BFloat16Storage": torch.bfloat16,
            "LongStorage": torch.int64, "IntStorage": torch.int32, "BoolStorage": torch.bool, "ByteStorage": torch.uint8,
        }  # fmt: skip
        if kind not in kinds or not str(key).isalnum():
            raise pickle.UnpicklingError(f"unknown storage {kind}")
        return self._archive.read(f"{self._root}/data/{key}"), kinds[kind]


def _tensor(storage: tuple[bytes, torch.dtype], offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    payload, kind = storage
    flat = torch.frombuffer(bytearray(payload), dtype=kind) if payload else torch.empty(0, dtype=kind)
    return flat.as_strided(tuple(size), tuple(stride), offset).clone()


def torchscript_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a TorchScript archive by their dotted names; its code is not looked at.

    Raises:
        SourceError: ``WEIGHTS_UNSAFE`` for an archive that names anything else.
    """
    with zipfile.ZipFile(path) as archive:
        root = next(name for name in archive.namelist() if name.endswith("/constants.pkl")).rpartition("/")[0]
        try:
            top = _TensorReader(archive, root).load()
        except pickle.UnpicklingError as error:
            raise _unsafe(path, str(error).removeprefix("weights_only: ")) from error
    found: dict[str, Tensor] = {}
    _collect(top, "", found, depth=0)
    return found


def _collect(value: Any, name: str, found: dict[str, Tensor], *, depth: int) -> None:
    if isinstance(value, Tensor):
        found[name] = value
    elif isinstance(value, _Module) and depth < 64:
        for key, part in vars(value).items():
            _collect(part, f"{name}.{key}" if name else key, found, depth=depth + 1)


def load_exactly(network: nn.Module, weights: Mapping[str, Tensor], what: str, own_name: Callable[[str], str] = str) -> None:
    """Load weights into a network, each into the layer of its name.

    Args:
        network: changed in place.
        weights: by the names of the source.
        what: the source, for sentences.
        own_name: what a weight of the source is called in the network.

    Raises:
        SourceError: ``WEIGHTS_MISMATCH`` naming the first weights that are missing, not known, or of another shape; ``WEIGHTS_NOT_FINITE``.
    """
    given = {own_name(name): value for name, value in weights.items()}
    known = network.state_dict()
    # A counter of batches that older files lack, and that no answer depends on.
    missing = [name for name in known if name not in given and not name.endswith("num_batches_tracked")]
    unknown = [name for name in given if name not in known]
    shapes = [
        f"{name} {list(given[name].shape)} for {list(value.shape)}"
        for name, value in known.items()
        if name in given and given[name].shape != value.shape
    ]
    parts = [("lacks", missing), ("has besides", unknown), ("has another shape in", shapes)]
    said = "; ".join(f"{verb} {_few(names)}" for verb, names in parts if names)
    if said:
        raise SourceError(
            "WEIGHTS_MISMATCH",
            f"expected the weights of {type(network).__name__} in {what}, it {said}; name the network that it was trained with",
        )
    broken = [name for name, value in given.items() if value.is_floating_point() and not bool(torch.isfinite(value).all())]
    if broken:
        raise SourceError(
            "WEIGHTS_NOT_FINITE",
            f"expected finite weights in {what}, {_few(broken)} hold NaN or infinity: its training failed, take another",
        )
    network.load_state_dict({**known, **{name: value.to(known[name].dtype) for name, value in given.items()}})


def _few(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
