"""An explanation made again, bit by bit."""

from __future__ import annotations

from pathlib import Path

from flows.orchestration import flow, submit_all, task
from medkd.explanation.of_registry import replay_registered
from medkd.storage.workspace import Workspace

replay_one = task(replay_registered)


@flow
def replay(workspace: Workspace, folder: Path, wanted: str, store: Path | None = None) -> tuple[Path, bool, dict[str, float]]:
    """Make a kept explanation again and return its folder, whether every bit is the same, and which maps are not."""
    return submit_all(replay_one, [(workspace, folder, wanted, store)], title="replay")[0]
