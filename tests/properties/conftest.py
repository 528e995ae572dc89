from __future__ import annotations

import pytest

from tests.properties.applies import kept

#: Explainers that ask a network dozens of times: their properties on volumes are kept by `make test-extended`, one of them by every run.
SLOW = ("occlusion", "kernel_shap", "lime", "gradient_shap", "gap_attribution", "smooth_grad", "integrated_gradients")
ALWAYS = "test_a_map_is_finite_float32_on_the_grid_of_the_image"


@pytest.fixture(params=[2, 3], ids=["pictures", "volumes"])
def space(request):
    """Properties hold for pictures and for volumes alike."""
    return request.param


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    items[:] = kept(items)
    for item in items:
        require_teacher = item.name.partition("[")[2]
        slow = "test_explainers" in item.nodeid and require_teacher.startswith(SLOW) and item.originalname != ALWAYS
        derived = "test_insights" in item.nodeid and "decision_boundary" in require_teacher
        if "volumes" in require_teacher and (slow or derived):
            item.add_marker(pytest.mark.extended)
