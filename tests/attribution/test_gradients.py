"""What the gradient family shares: far lesions in one pass, graphs where they are wanted, chunks and budgets."""

import time

import pytest
import torch

from data_contracts import NetworkSpec
from medkd.attribution import _gradients
from medkd.attribution._attribute import attribute
from medkd.attribution._budget import affordable, expect_windows, time_budget
from medkd.attribution._chunk import chunk_of, kept_bytes
from medkd.attribution._gradients import image_gradients
from medkd.attribution._reach import boxes_of, groups_of, reach_of
from medkd.attribution.gap_attribution import Difference
from medkd.models._build import build_network
from medkd.targets import lesion_margins

SMALL = NetworkSpec(builder="unet", options={"channels": (4, 8), "residual_units": 1})


def seen(network, image, place):
    """Return the voxels that can change the logits at a place, by changing each in turn."""
    changed = []
    with torch.no_grad():
        before = network(image)[(slice(None), slice(None), *place)]
        for column in range(image.shape[-1]):
            other = image.clone()
            other[..., place[0], column] += 3.0
            changed.append(bool((network(other)[(slice(None), slice(None), *place)] - before).abs().max() > 1e-9))
    return [column for column, is_seen in enumerate(changed) if is_seen]


def test_the_reach_holds_what_a_voxel_sees():
    network = build_network(SMALL, seed=0).eval().double()
    image = torch.randn(1, 1, 48, 48, dtype=torch.double)
    reach = reach_of(network, image)
    for column in (20, 21, 22, 23):
        columns = seen(network, image, (24, column))
        assert column - reach[1] <= min(columns)
        assert max(columns) <= column + reach[1]
    assert reach[1] < 20


def test_a_difference_of_networks_sees_what_either_sees():
    far = SMALL.model_copy(update={"options": {"channels": (4, 8, 8), "residual_units": 1}})
    small, large = build_network(SMALL, seed=0), build_network(far, seed=0)
    image = torch.zeros(1, 1, 96, 96)
    both = reach_of(large, image)
    assert reach_of(Difference(small, small), image) == reach_of(small, image)
    assert reach_of(Difference(small, large), image) == both
    assert both[0] > reach_of(small, image)[0]


def test_a_network_that_sees_everything_has_no_reach():
    instance = torch.nn.InstanceNorm2d(3)
    from medkd.trace import LayerMap, with_layer_map

    network = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3, padding=1), instance, torch.nn.Conv2d(3, 2, 1))
    with_layer_map(network, LayerMap(feature_layers=("1",), cam_layer="1", head="2"))
    assert reach_of(network, torch.zeros(1, 1, 32, 32)) is None


def test_boxes_reach_as_far_as_the_network_and_groups_do_not_meet():
    masks = [torch.zeros(1, 40, 40) for _ in range(3)]
    masks[0][0, 5, 5], masks[1][0, 8, 30], masks[2][0, 10, 9] = 1, 1, 1
    boxes = boxes_of(masks, (4, 4))
    assert boxes[0] == ((1, 10), (1, 10))
    assert groups_of(boxes) == [[0, 1], [2]]
    assert groups_of(boxes_of(masks, None)) == [[0], [1], [2]]


@pytest.mark.parametrize("space", [2, 3])
def test_far_lesions_share_a_pass_and_get_their_own_maps(space, monkeypatch):
    network = build_network(SMALL.model_copy(update={"spatial_dims": space}), seed=1).eval()
    size = (72, 72) if space == 2 else (16, 72, 72)
    image = torch.randn(1, 1, *size)
    masks = torch.zeros(3, *size)
    masks[0, ..., 8:12, 8:12], masks[1, ..., 60:64, 58:66], masks[2, ..., 14:16, 12:20] = 1, 1, 1
    reach_of(network, image)  # measured once, by passes of its own
    passes = []
    monkeypatch.setattr(_gradients.torch.autograd, "grad", counted(torch.autograd.grad, passes))
    together = image_gradients(network, {"image": image}, lesion_margins(masks))
    assert len(passes) == 2
    for index in range(3):
        alone = image_gradients(network, {"image": image}, lesion_margins(masks[index : index + 1]))
        torch.testing.assert_close(together[:, index], alone[:, 0], atol=1e-6, rtol=1e-5)
        assert float(alone.abs().max()) > 0


def counted(function, calls):
    def call(*arguments, **options):
        calls.append(arguments)
        return function(*arguments, **options)

    return call


def test_a_chunk_fits_its_budget_and_is_found_once(monkeypatch):
    from medkd.attribution import _chunk

    network, image = build_network(SMALL, seed=0).eval(), torch.zeros(1, 1, 32, 32)
    kept = kept_bytes(network, image)
    one, two = kept_bytes(network, torch.zeros(1, 1, 64, 32)), kept_bytes(network, torch.zeros(1, 1, 32, 64))
    assert kept > 0
    assert one == two == pytest.approx(2 * kept, rel=0.1)
    monkeypatch.setitem(_chunk.BUDGET, "cpu", int(3.5 * kept))
    assert chunk_of(network, image) == 3
    monkeypatch.setitem(_chunk.BUDGET, "cpu", 1)
    assert chunk_of(network, image) == 3
    assert chunk_of(build_network(SMALL, seed=0).eval(), image) == 1


def test_a_budget_gives_fewer_samples_and_says_so():
    with time_budget(0.2) as spending:
        made = affordable(1000, lambda: time.sleep(0.01))
    assert 2 <= made < 25
    assert spending.cut == (1000, made)
    with time_budget(1e-6) as spending:
        assert affordable(1000, lambda: None) == 2
    with time_budget(60.0) as spending:
        assert affordable(50, lambda: None) == 50
    assert spending.cut is None
    assert affordable(1000, lambda: time.sleep(9)) == 1000


def test_a_budget_is_shared_by_cases_windows_and_runs_that_are_to_come():
    with time_budget(0.4):
        alone = affordable(1000, lambda: time.sleep(0.005), warm=False)
    with time_budget(0.4, runs=2):
        expect_windows(2)
        shared = affordable(1000, lambda: time.sleep(0.005), warm=False, among=4)
        assert affordable(1000, lambda: time.sleep(9)) == shared
    assert 2 <= shared < alone / 8


def test_a_replay_makes_as_many_samples_as_were_made():
    with time_budget(None, made=17) as spending:
        assert affordable(1000, lambda: time.sleep(9)) == 17
    assert spending.cut == (1000, 17)


@pytest.mark.parametrize("explainer", ["integrated_gradients", "smooth_grad", "kernel_shap", "occlusion", "lime", "gradient_shap"])
def test_without_time_there_is_still_an_answer(explainer, make_network, make_sample, task):
    from medkd.targets import class_margin, lesion_margin

    network, sample = make_network().eval(), make_sample(1)
    target = class_margin(1) if task == "classification" else lesion_margin(sample.masks)
    with time_budget(0.0) as spending:
        found = attribute(network, sample.image, target, explainer=explainer)
    assert bool(found.isfinite().all())
    assert float(found.abs().max()) > 0
    wanted, made = spending.cut
    assert made < wanted
