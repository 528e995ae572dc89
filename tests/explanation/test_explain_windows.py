"""Windows: the plan is the prediction's own, and maps of windows add up to the map of the averaged answer."""

import pytest
import torch

from data_contracts import ExplanationError, NetworkSpec, Task
from medkd.attribution._attribute import attribute
from medkd.explanation.explain_windows import explain_volume, margin_in_windows, plan_of, windows_of
from medkd.explanation.subjects import Method
from medkd.inference.predict import predict_volume
from medkd.models._build import build_network
from medkd.targets import lesion_margins
from medkd.trace import frozen

SHAPES = [(8, 32, 32), (12, 40, 32), (6, 44, 50)]


def task_of(flips=()):
    return Task(
        kind="segmentation", classes=("background", "a", "b"), image_size=(8, 32, 32), intensity="standardised", overlap=0.5,
        spacing_mm=(1.0, 1.0, 1.0), test_time_flips=flips,
    )  # fmt: skip


@pytest.fixture(scope="module")
def network():
    return build_network(NetworkSpec(builder="unet", spatial_dims=3, out_channels=3, options={"channels": (4, 8, 8)}), seed=2).eval()


def blended(network, volume, task):
    """Return the averaged logits [1, classes, *space] with a graph to the volume, by the plan."""
    plan = plan_of(tuple(volume.shape[1:]), task)
    padding = []
    for begin, size, extent in reversed(list(zip(plan.begin, volume.shape[1:], plan.extent, strict=True))):
        padding += [begin, extent - begin - size]
    padded = torch.nn.functional.pad(volume, padding, value=float(volume.min()))
    total = torch.zeros(3, *plan.extent)
    flips = [()] if not task.test_time_flips else [(), task.test_time_flips]
    for place, share in zip(plan.places, plan.shares, strict=True):
        for axes in flips:
            turned = tuple(axis + 1 for axis in axes)
            logits = network(padded[(slice(None), *place)].flip(turned)[None])[0].flip(turned)
            total[(slice(None), *place)] = total[(slice(None), *place)] + logits * share / len(flips)
    inside = tuple(slice(b, b + s) for b, s in zip(plan.begin, volume.shape[1:], strict=True))
    return total[(slice(None), *inside)][None]


def lesions(shape):
    masks = torch.zeros(2, *shape, dtype=torch.uint8)
    masks[0, 1:4, 4:9, 5:11] = 1
    masks[1, 2:5, shape[1] - 12 : shape[1] - 6, shape[2] - 10 : shape[2] - 5] = 1
    return masks


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("flips", [(), (2,)])
def test_the_plan_is_the_predictions_own(network, shape, flips):
    volume = torch.randn(1, *shape)
    with torch.no_grad():
        torch.testing.assert_close(
            blended(network, volume, task_of(flips))[0], predict_volume(network, volume, task_of(flips)), atol=1e-5, rtol=1e-4
        )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("flips", [(), (2,)])
def test_maps_of_windows_add_up_to_the_gradient_of_the_averaged_answer(network, shape, flips):
    volume, masks = torch.randn(1, *shape), lesions(shape)
    found = explain_volume(network, volume, task_of(flips), masks, [1, 2], Method("saliency"))
    leaf = volume.clone().requires_grad_()
    low = float(volume.min())
    with frozen(network):
        # The padding is a constant: only voxels of the volume have a gradient.
        scores = lesion_margins(masks, index=[1, 2])(blended(network, torch.where(torch.isfinite(leaf), leaf, low), task_of(flips)))[0]
    for index in range(2):
        (expected,) = torch.autograd.grad(scores[index], leaf, retain_graph=True)
        torch.testing.assert_close(found[index], expected[0], atol=1e-5, rtol=1e-3)


def test_in_one_window_it_is_the_explainers_own_map(network):
    volume, masks = torch.randn(1, 8, 32, 32), lesions((8, 32, 32))
    for explainer in ("cam", "grad_cam", "integrated_gradients"):
        found = explain_volume(network, volume, task_of(), masks, [1, 2], Method(explainer))
        alone = attribute(network, volume[None], lesion_margins(masks, index=[1, 2]), explainer=explainer)[0]
        torch.testing.assert_close(found, alone, atol=1e-5, rtol=1e-4)


def test_windows_without_the_lesion_are_not_asked(network, monkeypatch):
    from medkd.explanation import explain_windows as module

    loaded = []
    monkeypatch.setattr(module, "attribute", lambda *a, **k: loaded.append(a) or attribute(*a, **k))
    volume, masks = torch.randn(1, 8, 32, 128), torch.zeros(1, 8, 32, 128)
    masks[0, 2, 5, 120] = 1
    found = explain_volume(network, volume, task_of(), masks, [1], Method("cam"))
    assert len(loaded) == 1
    assert float(found[..., :96].abs().max()) == 0


def test_no_lesion_is_said():
    with pytest.raises(ExplanationError) as caught:
        explain_volume(torch.nn.Identity(), torch.zeros(1, 8, 8, 8), task_of(), torch.zeros(0, 8, 8, 8), [], Method("cam"))
    assert caught.value.code == "TARGET_MASK"


def test_maps_of_some_windows_and_of_the_others_add_up_to_the_whole(network):
    shape, task = (12, 40, 32), task_of()
    volume, masks = torch.randn(1, *shape), lesions(shape)
    order = windows_of(shape, task, masks[0])
    plan = plan_of(shape, task)
    held = [float((plan.padded(masks[:1].float())[0][place] * share).sum()) for place, share in zip(plan.places, plan.shares, strict=True)]
    assert [held[number] for number in order] == sorted((weight for weight in held if weight > 0), reverse=True)
    assert sum(held) == pytest.approx(float(masks[0].sum()), rel=1e-5)
    explained = (network, volume, task, masks, [1, 2], Method("input_times_gradient"))
    whole = explain_volume(*explained)
    first = explain_volume(*explained, only=order[:1])
    rest = explain_volume(*explained, only=[n for n in range(len(plan.places)) if n != order[0]])
    torch.testing.assert_close(first + rest, whole, atol=1e-5, rtol=1e-4)
    assert bool(first.any())
    assert not torch.allclose(first[0], whole[0], atol=1e-4)


@pytest.mark.parametrize("flips", [(), (2,)])
@pytest.mark.parametrize("shape", [(12, 40, 32), (6, 44, 50)])
def test_margins_of_all_windows_add_up_to_the_margin_of_the_averaged_answer(network, shape, flips):
    volume, (_, mask), task = torch.randn(1, *shape), lesions(shape), task_of(flips)
    logits = predict_volume(network, volume, task)
    expected = ((logits[2] - logits[0]).double() * mask).sum()
    numbers = range(len(plan_of(shape, task).places))
    torch.testing.assert_close(margin_in_windows(network, volume, task, mask, 2, numbers), expected, atol=1e-3, rtol=1e-4)
    parts = [margin_in_windows(network, volume, task, mask, 2, [number]) for number in numbers]
    torch.testing.assert_close(sum(parts), expected, atol=1e-3, rtol=1e-4)
