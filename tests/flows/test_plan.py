"""What a run is expected to take decides whether worker processes are worth their start."""

from __future__ import annotations

import pytest

from flows.demo import demo_recipes
from flows.plan import workers_for


@pytest.fixture(autouse=True)
def nothing_asked(monkeypatch):
    monkeypatch.delenv("MEDKD_WORKERS", raising=False)


def test_a_short_run_starts_none_and_a_long_one_as_many_as_usual():
    assert workers_for(demo_recipes("smoke")) == 0
    assert workers_for(demo_recipes("full")) is None


def test_who_asks_for_workers_gets_them(monkeypatch):
    monkeypatch.setenv("MEDKD_WORKERS", "2")
    assert workers_for(demo_recipes("smoke")) is None
