"""Which stages of a run were started, on any machine: one that was started twice was interrupted, or its result was altered."""

from __future__ import annotations

import logging
from collections import Counter

from data_contracts.private import open_private
from medkd.storage.workspace import Workspace, run_folder_id

_LOG = logging.getLogger("medkd")


def note_start(workspace: Workspace, name: str) -> None:
    """Note that a stage starts, in ``stages/begun.log`` of this machine's folder and in the shared store; say it where it started before.

    Args:
        workspace: of the run.
        name: of the stage and its key.
    """
    before = max(_here(workspace)[name], _elsewhere(workspace, name))
    with open_private(workspace.root / "stages" / "begun.log", "a", encoding="utf-8") as stream:
        stream.write(f"{name}\n")
    if workspace.objects is not None:
        # Of both counts the larger one is right: this machine's folder may have been there before the store.
        workspace.objects.write_record(f"{_folder(workspace)}/{name}", str(before + 1).encode())
    if before:
        _LOG.warning("%s was started before and left no result: it runs again", name.rpartition("-")[0])


def repeated_stages(workspace: Workspace) -> dict[str, int]:
    """Return how many starts of each stage came to nothing, by the name of the stage; none of those that started once."""
    found: Counter[str] = Counter()
    for name, count in (_here(workspace) | _all_elsewhere(workspace)).items():  # the larger of both
        if count > 1:
            found[name.rpartition("-")[0]] += count - 1
    return dict(sorted(found.items()))


def _here(workspace: Workspace) -> Counter[str]:
    log = workspace.root / "stages" / "begun.log"
    return Counter(log.read_text(encoding="utf-8").split()) if log.is_file() else Counter()


def _elsewhere(workspace: Workspace, name: str) -> int:
    payload = None if workspace.objects is None else workspace.objects.read_record(f"{_folder(workspace)}/{name}")
    return 0 if payload is None else int(payload)


def _all_elsewhere(workspace: Workspace) -> Counter[str]:
    if workspace.objects is None:
        return Counter()
    names = workspace.objects.records(_folder(workspace))
    return Counter({name: _elsewhere(workspace, name) for name in names})


def _folder(workspace: Workspace) -> str:
    return f"started/{workspace.run_id or run_folder_id(workspace.root)}"
