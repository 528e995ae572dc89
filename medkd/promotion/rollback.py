"""The way back: the champion before the present one, once every byte of it and its lineage have been verified again."""

from __future__ import annotations

from dataclasses import dataclass

from data_contracts import ModelRef, PromotionEvent, RegistryError
from medkd.promotion.check_promotion import CHAMPION, PREVIOUS
from medkd.promotion.check_provenance import lineage_check
from medkd.promotion.history import carry_out, champions_of, finish_pending, promotion_events, record_event
from medkd.promotion.version_records import read_version
from medkd.registry.interface import Registry


@dataclass(frozen=True)
class Rollback:
    """What a rollback did.

    Attributes:
        model: the champion from now on.
        event: of the history.
        lineage: what was verified of its teacher, one sentence.
    """

    model: ModelRef
    event: PromotionEvent
    lineage: str


def rollback(registry: Registry, name: str) -> Rollback:
    """Let ``champion`` stand where ``previous`` does, and ``previous`` at the champion before that.

    A rollback that was cut short is finished, and no other one is made.

    Raises:
        RegistryError: ``NOTHING_TO_ROLL_BACK`` without a previous champion; ``VERSION_ALTERED`` naming the file that is not as it was
            registered; ``ROLLBACK_REFUSED`` when what lies beside the version or its lineage does not hold. Nothing is moved then.
    """
    with registry.promotion_lock(name) as require_held:
        last = promotion_events(registry, name)[-1:]
        events = finish_pending(registry, name, require_held)
        if last and not last[0].done and last[0].kind == "rollback":
            subject = read_version(registry, f"models:/{name}/{events[-1].version}")
            return Rollback(subject.model, events[-1], lineage_check(subject, registry).reason)
        aliases = registry.aliases(name)
        champion, target = aliases.get(CHAMPION), aliases.get(PREVIOUS)
        if champion is None or target is None:
            stand = ", ".join(f"{alias} at {version}" for alias, version in aliases.items()) or "none"
            raise RegistryError("NOTHING_TO_ROLL_BACK", f"expected {name} to have a {CHAMPION} and a {PREVIOUS}, its aliases: {stand}")
        subject = read_version(registry, f"models:/{name}/{target}")
        lineage = lineage_check(subject, registry)
        problems = [*subject.problems, *([lineage.reason] if lineage.refuses else [])]
        if problems:
            raise RegistryError(
                "ROLLBACK_REFUSED", f"expected {subject.model.uri} as it was when it was the champion: {'; '.join(problems)}"
            )
        # A version that was gone back from is not gone back to.
        line = [version for version in champions_of(events) if version != champion]
        below = line[: line.index(target)] if target in line else []
        event = PromotionEvent(
            number=len(events) + 1, kind="rollback", version=target, before=champion, previous=below[-1] if below else None
        )
        record_event(registry, name, event)
        return Rollback(subject.model, carry_out(registry, name, event, require_held), lineage.reason)
