from __future__ import annotations

import pytest


@pytest.fixture(params=[2, 3], ids=["pictures", "volumes"])
def space(request):
    """Laws hold for pictures and for volumes alike."""
    return request.param
