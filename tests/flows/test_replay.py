from __future__ import annotations

from pathlib import Path

from flows.replay import replay
from tests.flows.recording import recorded


def test_a_kept_explanation_is_made_again_by_one_call():
    with recorded(replay=(Path("kept"), True, {})) as engine:
        assert replay("workspace", Path("runs"), "0123456789ab", Path("store")) == (Path("kept"), True, {})
    assert engine.groups == [("replay", "replay_registered", [("workspace", Path("runs"), "0123456789ab", Path("store"))], None)]
