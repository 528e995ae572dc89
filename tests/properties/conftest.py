from __future__ import annotations

import pytest

from tests.properties.applies import kept

#: Properties on volumes are kept by `make test-extended`, but these by every run: that an entry computes on volumes, and what it must.
ALWAYS = (
    "test_a_map_is_finite_float32_on_the_grid_of_the_image",
    "test_a_loss_is_a_finite_float32_scalar_within_its_range",
    "test_the_gradient_reaches_the_student_and_never_the_teacher",
    "test_logits_have_one_channel_per_class",
    "test_every_parameter_gets_a_gradient",
)
#: Where that holds: measures are as quick on volumes.
ON_PICTURES = ("test_explainers", "test_losses", "test_learning", "test_insights", "test_networks")
#: Explainers that ask a network dozens of times draw weights anew in `make test-extended`; their verdicts are measured by the demo, too.
SLOW = ("occlusion", "kernel_shap", "lime", "gradient_shap", "gap_attribution", "smooth_grad")


@pytest.fixture(params=["classification", "segmentation", "detection"])
def task(request):
    """Entries are asked for the tasks that they declare."""
    return request.param


@pytest.fixture(params=[2, 3], ids=["pictures", "volumes"])
def space(request):
    """Properties hold for pictures and for volumes alike."""
    return request.param


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    items[:] = kept(items)
    for item in items:
        case = item.name.partition("[")[2]
        on_volume = "volumes" in case and item.path.stem in ON_PICTURES and item.originalname not in ALWAYS
        drawn = item.originalname == "test_maps_change_when_the_weights_are_drawn_anew" and case.startswith(SLOW)
        if on_volume or drawn:
            item.add_marker(pytest.mark.extended)
