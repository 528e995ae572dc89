"""How the champion of a name came to be: events as tags of the registered model, and the moves of aliases that they stand for."""

from __future__ import annotations

import re

from data_contracts import PromotionEvent, RegistryError, read_record
from medkd.promotion.check_promotion import CHAMPION, PREVIOUS, TAG
from medkd.registry.interface import Registry
from medkd.registry.promotion_lock import RequireHeld


def promotion_events(registry: Registry, name: str) -> tuple[PromotionEvent, ...]:
    """Return the events of a name in their order.

    Raises:
        RegistryError: ``HISTORY_INCOMPLETE`` when an event is missing.
    """
    tags = {key: text for key, text in registry.name_tags(name).items() if re.fullmatch(rf"{re.escape(TAG)}\.\d{{6}}", key)}
    events = tuple(read_record(tags[key], PromotionEvent) for key in sorted(tags))
    numbers = [event.number for event in events]
    if numbers != list(range(1, len(events) + 1)):
        raise RegistryError("HISTORY_INCOMPLETE", f"expected the promotions of {name} to be numbered without gaps, got {numbers}")
    return events


def champions_of(events: tuple[PromotionEvent, ...]) -> list[int]:
    """Return the champions that a rollback can lead back to, the present one last: each promotion adds one, each rollback takes one away."""
    line: list[int] = []
    for event in events:
        if event.kind == "promotion":
            # A champion that was set by hand is in no event of its own.
            line += [event.before] if event.before is not None and line[-1:] != [event.before] else []
            line.append(event.version)
        else:
            while line and line[-1] != event.version:
                line.pop()
            line = line or [event.version]
    return line


def record_event(registry: Registry, name: str, event: PromotionEvent) -> None:
    """Write an event: before the aliases are moved, and again when they were."""
    registry.set_name_tag(name, f"{TAG}.{event.number:06d}", event.canonical_json().decode())


def carry_out(registry: Registry, name: str, event: PromotionEvent, require_held: RequireHeld) -> PromotionEvent:
    """Move the aliases of an event that was written, read them back, and mark it as done; every step may be repeated.

    Raises:
        RegistryError: ``ALIAS_MOVED`` when an alias stands elsewhere after it was moved; ``PROMOTION_LOCK_LOST``.
    """
    # The champion last: until then everything that asks for it gets the one before, and ``previous`` is right at every moment after.
    wanted = {PREVIOUS: event.previous, CHAMPION: event.version}
    for alias, version in wanted.items():
        if registry.aliases(name).get(alias) != version:
            require_held()
            registry.set_alias(name, alias, version)
    found = {alias: registry.aliases(name).get(alias) for alias in wanted}
    if found != wanted:
        raise RegistryError(
            "ALIAS_MOVED", f"expected the aliases of {name} at {wanted}, they are at {found}: somebody else moves them; look, then repeat"
        )
    done = event.model_copy(update={"done": True})
    record_event(registry, name, done)
    return done


def finish_pending(registry: Registry, name: str, require_held: RequireHeld) -> tuple[PromotionEvent, ...]:
    """Carry out what a promoter that was killed had written and not finished, and return the events."""
    events = promotion_events(registry, name)
    if events and not events[-1].done:
        events = (*events[:-1], carry_out(registry, name, events[-1], require_held))
    return events
