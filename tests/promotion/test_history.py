"""How the champion of a name came to be: events in their order, and what a killed promoter began is finished."""

from __future__ import annotations

import pytest

from data_contracts import RegistryError
from medkd.promotion.check_promotion import check_promotion
from medkd.promotion.history import promotion_events
from tests.promotion.moves import NAME, Killed, killed_before, to_champion
from tests.promotion.promoters import POLICY


def test_champion_previous_and_history_agree(registry, make):
    models = [make(mark=str(number)) for number in range(3)]
    for model in models:
        assert to_champion(registry, model).changed
    assert registry.aliases(NAME) == {"champion": 3, "previous": 2}
    events = promotion_events(registry, NAME)
    assert [(e.number, e.version, e.before, e.done) for e in events] == [(1, 1, None, True), (2, 2, 1, True), (3, 3, 2, True)]
    for model, event in zip(models, events, strict=True):
        names = [f"promotion/{event.verdict}/{file}" for file in ("verdict.json", "verdict.md", "sign_off.json")]
        assert all(registry.fetch_attached(model.uri, name) is not None for name in names)
        assert registry.tags(model)[f"medkd.promotion.{event.verdict}"].startswith("passed ")


def test_another_promoter_finishes_what_a_killed_one_began(registry, make):
    old, new, third = make(mark="old"), make(mark="new"), make(mark="third")
    to_champion(registry, old)
    check_promotion(registry, new.uri, POLICY)
    killed_before(registry, 2)  # sign-off, the event; then the aliases
    with pytest.raises(Killed):
        to_champion(registry, new)
    assert [event.done for event in promotion_events(registry, NAME)] == [True, False]
    with pytest.raises(RegistryError) as caught:
        to_champion(registry, third)
    assert caught.value.code == "PROMOTION_UNSIGNED"
    to_champion(registry, third)
    assert [(e.version, e.before) for e in promotion_events(registry, NAME)] == [(1, None), (2, 1), (3, 2)]
