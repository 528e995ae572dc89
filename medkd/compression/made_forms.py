"""The files of forms in a run's store, and forms opened from them."""

from __future__ import annotations

from collections.abc import Mapping

from data_contracts import MadeForm, Ref, StoreError
from medkd.compression.quantise import open_form
from medkd.compression.torch_network import TorchNetwork
from medkd.models._load import load_network
from medkd.serving.runtime_network import RuntimeNetwork
from medkd.storage.store import Store, write_bytes
from medkd.storage.workspace import Workspace


def keep_files(store: Store, place: str, files: Mapping[str, bytes]) -> dict[str, Ref]:
    """Write the files of a form below a place of a store and return their references by file name."""
    for name, payload in files.items():
        write_bytes(store.root / place / name, payload)
    return {name: store.refer(f"{place}/{name}") for name in files}


def read_files(store: Store, files: Mapping[str, Ref]) -> dict[str, bytes]:
    """Return the bytes of a form's files.

    Raises:
        StoreError: ``STORE_ALTERED`` naming one that is missing or is not what it was.
    """
    for name, ref in files.items():
        if not store.verify(ref):
            raise StoreError("STORE_ALTERED", f"expected {name} with sha256 {ref.sha256[:12]} of a form, {ref.key} is missing or altered")
    return {name: store.path(ref).read_bytes() for name, ref in files.items()}


def open_made(workspace: Workspace, form: MadeForm, *, threads: int = 1) -> RuntimeNetwork:
    """Return a form as it is asked, every byte of it verified."""
    task = form.checkpoint.task
    if form.runtime == "torch":
        return TorchNetwork(load_network(workspace, form.checkpoint), task)
    return open_form(read_files(workspace.store, form.files), task, threads=threads)


def form_bytes(workspace: Workspace, form: MadeForm) -> int:
    """Return the bytes of the files that are needed to ask a form; of one that torch asks, of its weights."""
    refs = form.files.values() if form.files else (form.checkpoint.weights,)
    return sum(workspace.store.path(ref).stat().st_size for ref in refs)
