"""Promoters as processes of their own, for tests of what many of them do at once and of what a killed one leaves."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from data_contracts import EvidencePolicy, PromotionPolicy, RegistryError
from medkd.promotion.promote import Signatory, promote_signed
from medkd.registry.mlflow_registry import MlflowRegistry
from tests.promotion.versions import Plan, publish

#: With a floor, so that a version without champion and teacher can be the first one.
POLICY = PromotionPolicy(name="test", evidence=EvidencePolicy(floor=0.2))
NOBODY = Signatory("Dr Example", "reader", "I have read the verdict.")


def open_local(folder: Path) -> MlflowRegistry:
    """Open the registry of a folder: of the server whose address lies in it, or its own database."""
    server = folder / "server.uri"
    uri = server.read_text() if server.exists() else f"sqlite:///{folder / 'mlflow.db'}"
    return MlflowRegistry(uri, artifacts=folder / "artifacts")


def register_all(folder: Path, count: int) -> list[str]:
    """Register equally good versions of one name."""
    registry = open_local(folder)
    return [publish(registry, folder, Plan(mark=str(number))).uri for number in range(count)]


def promote_until_done(folder: Path, uri: str) -> list[str]:
    """Promote a version to the champion, signing anew where another promoter was faster; return the code of each try."""
    registry, codes = open_local(folder), []
    while codes[-1:] != ["done"]:
        try:
            promote_signed(registry, uri, POLICY, to="champion", signatory=NOBODY)
            codes.append("done")
        except RegistryError as error:
            if error.code != "PROMOTION_UNSIGNED":
                raise
            codes.append(error.code)
    return codes


def promote_and_die(folder: Path, uri: str, step: int) -> None:
    """Promote a version and be killed before the given write to the registry (counted from 0)."""
    registry, written = open_local(folder), 0
    own = {name: getattr(registry, name) for name in ("attach", "set_alias", "set_name_tag")}

    def counted(name):
        def call(*arguments):
            nonlocal written
            if written == step:
                os.kill(os.getpid(), signal.SIGKILL)
            written += 1
            return own[name](*arguments)

        return call

    for name in own:
        setattr(registry, name, counted(name))
    promote_signed(registry, uri, POLICY, to="champion", signatory=NOBODY)


def state_of(folder: Path, name: str) -> tuple[dict[str, int], list[dict], dict[str, dict[str, str]]]:
    """Return aliases, events, and tags of each version."""
    from medkd.promotion.history import promotion_events

    registry = open_local(folder)
    events = [event.model_dump() for event in promotion_events(registry, name)]
    return registry.aliases(name), events, {model.uri: registry.tags(model) for model in registry.versions(name)}
