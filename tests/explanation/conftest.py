from __future__ import annotations

from functools import partial

import pytest

from tests.explanation.studies import bright_model, bright_volume


@pytest.fixture
def loaded():
    return bright_model()


@pytest.fixture
def make_volume(tmp_path):
    """Return the maker of a volume, see :func:`bright_volume`."""
    return partial(bright_volume, tmp_path / "store")
