from __future__ import annotations

import itertools

import pytest

from medkd.loss_check.asking import Case
from medkd.loss_check.read_loss import file_loss
from medkd.loss_check.small_networks import Setting

SETTING = Setting("classification", 2)
_NUMBERS = itertools.count()


@pytest.fixture
def loss_of(tmp_path):
    """Return a maker of losses from source text."""

    def make(source, name=None):
        path = tmp_path / f"{name or f'loss_{next(_NUMBERS)}'}.py"
        path.write_text(source, encoding="utf-8")
        return file_loss(path)

    return make


@pytest.fixture
def case_of(loss_of):
    """Return a maker of cases on the small classification."""
    return lambda source: Case.of(loss_of(source), SETTING)
