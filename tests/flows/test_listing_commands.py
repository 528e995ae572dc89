from __future__ import annotations

import json

import pytest

from flows.commands.listing import Kind, _facts
from medkd.catalogue import CATALOGUES


@pytest.mark.parametrize("kind", Kind)
def test_every_entry_is_listed_with_what_it_is(here, kind):
    status, text, errors = here("list", kind.value)
    assert (status, errors) == (0, "")
    names = CATALOGUES[kind.value].names()
    assert [line.split()[0] for line in text.splitlines() if not line.startswith(" ")] == list(names)
    entries = json.loads(here("list", kind.value, "--json")[1])["entries"]
    assert [entry["name"] for entry in entries] == list(names)


def test_what_an_entry_declares_is_said_in_words():
    entry = {
        "options": {"grid": 8}, "needs": [], "tasks": ["classification"], "range": (0.0, float("inf")), "minimum_at_teacher": True, "mixes": False,
        "incompatible": {"with two classes": "use binary_kd"}, "source": "a paper",
    }  # fmt: skip
    assert list(_facts(entry)) == [
        ("options", "grid=8"),
        ("needs", "nothing"),
        ("for", "classification"),
        ("range", "0.0 to inf (minimum at teacher)"),
        ("not with two classes", "use binary_kd"),
        ("source", "a paper"),
    ]


@pytest.mark.parametrize(("passes", "said"), [(True, "passes"), (False, "does not pass")])
def test_an_explainer_says_what_its_maps_are_and_whether_they_know_the_network(passes, said):
    entry = {"options": {}, "scope": "local", "access": "white box", "signed": True, "complete": False, "passes_randomisation": passes}
    facts = dict(_facts(entry))
    assert facts["is"] == "local, white box, signed"
    assert facts["randomisation"].startswith(said)
