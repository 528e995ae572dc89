from __future__ import annotations

import pytest

from tests.promotion.versions import Plan, publish
from tests.registry.conftest import empty_database  # noqa: F401 - a fixture
from tests.registry.memory_registry import MemoryRegistry


@pytest.fixture
def registry():
    return MemoryRegistry()


@pytest.fixture
def make(registry, tmp_path):
    """Return a maker of registered versions: fields of a plan."""
    return lambda **changes: publish(registry, tmp_path, Plan(**changes))
