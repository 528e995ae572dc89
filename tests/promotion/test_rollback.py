"""The way back: one champion after another, and only to what is still what it was."""

from __future__ import annotations

import pytest

from medkd.promotion.history import champions_of, promotion_events
from medkd.promotion.rollback import rollback
from tests.promotion.moves import NAME, Killed, code_of, killed_before, to_champion


def test_rollback_goes_back_one_champion_after_another(registry, make):
    for number in range(3):
        to_champion(registry, make(mark=str(number)))
    done = rollback(registry, NAME)
    assert (done.model.version, registry.aliases(NAME)) == (2, {"champion": 2, "previous": 1})
    rollback(registry, NAME)
    assert registry.aliases(NAME) == {"champion": 1}
    code, sentence = code_of(rollback, registry, NAME)
    assert code == "NOTHING_TO_ROLL_BACK"
    assert "champion at 1" in sentence
    events = promotion_events(registry, NAME)
    assert [(e.kind, e.version, e.before) for e in events[3:]] == [("rollback", 2, 3), ("rollback", 1, 2)]
    assert champions_of(events) == [1]


def test_a_champion_that_was_gone_back_from_is_not_the_previous_one(registry, make):
    first, second = make(mark="first"), make(mark="second")
    to_champion(registry, first)
    to_champion(registry, second)
    rollback(registry, NAME)
    to_champion(registry, make(mark="third"))
    assert registry.aliases(NAME) == {"champion": 3, "previous": 1}


@pytest.mark.parametrize("file", ["weights.safetensors", "case_results.json", "training_manifest.json"])
def test_rollback_refuses_a_flipped_byte_and_names_the_file(registry, make, file):
    for mark in ("first", "second"):
        to_champion(registry, make(mark=mark))
    path = registry._versions[NAME][0][1] / file
    payload = bytearray(path.read_bytes())
    payload[len(payload) // 2] ^= 1
    path.write_bytes(payload)
    code, sentence = code_of(rollback, registry, NAME)
    assert (code, file in sentence) == ("VERSION_ALTERED", True)
    assert registry.aliases(NAME) == {"champion": 2, "previous": 1}
    assert len(promotion_events(registry, NAME)) == 2


def test_rollback_refuses_a_version_whose_teacher_was_altered(registry, make):
    from data_contracts import Role

    teacher = make(name="r-teacher", role=Role.TEACHER)
    for mark in ("first", "second"):
        to_champion(registry, make(mark=mark, teacher=teacher))
    (registry._versions["r-teacher"][0][1] / "weights.safetensors").write_bytes(b"other")
    code, sentence = code_of(rollback, registry, NAME)
    assert code == "ROLLBACK_REFUSED"
    assert "weights.safetensors" in sentence


def test_a_rollback_that_was_cut_short_goes_back_once(registry, make):
    for number in range(3):
        to_champion(registry, make(mark=str(number)))
    killed_before(registry, 1)
    with pytest.raises(Killed):
        rollback(registry, NAME)
    assert rollback(registry, NAME).model.version == 2
    assert registry.aliases(NAME) == {"champion": 2, "previous": 1}
