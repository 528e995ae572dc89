"""A served network says of a study what the torch network says, on the study's own voxels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from data_contracts import DataError, Geometry, NetworkSpec, Task, TaskKind
from medkd.inference.classify import class_logits, pictures_of
from medkd.inference.components import smallest_voxels
from medkd.inference.lesions import find_lesions
from medkd.inference.segment import logits_of, prepare_study, segment
from medkd.models._build import build_network
from medkd.serving.export_onnx import export_onnx
from medkd.serving.network import OnnxNetwork
from medkd.serving.study import ask_study
from medkd.volumes.orientation import Grid


def geometry(shape, spacing, turn=((1, 0, 0), (0, 1, 0), (0, 0, 1))):
    affine = np.eye(4)
    # Columns are the steps along (slice, row, column) in LPS mm.
    affine[:3, :3] = np.array(turn, dtype=float)[:, ::-1] * np.array(spacing)
    affine[:3, 3] = (-20.0, 5.0, 30.0)
    return Geometry(shape=shape, affine_lps_mm=tuple(tuple(float(v) for v in row) for row in affine), spacing_mm=spacing, residual_mm=0.0)


def form_of(builder, task, **options):
    spec = NetworkSpec(
        builder=builder, spatial_dims=task.spatial_dims, options=options, in_channels=task.in_channels, out_channels=len(task.classes)
    )
    network = build_network(spec, seed=3).eval()
    head = network.get_submodule(network.layer_map.head)
    if head.bias is not None:
        # Drawn weights mostly prefer one class: so that all of them are found, none may be preferred on the whole.
        with torch.no_grad():
            noise = torch.randn(4, task.in_channels, *task.image_size, generator=torch.Generator().manual_seed(0))
            head.bias -= network(noise).mean(dim=(0, *range(2, noise.ndim)))
    return network, OnnxNetwork(export_onnx(network, task).payload, task)


def smooth(shape, seed=1):
    drawn = np.random.default_rng(seed).normal(size=shape).cumsum(0).cumsum(1).cumsum(2)
    return (drawn / np.abs(drawn).max() * 300).astype(np.float32)


def study(shape, spacing, task, further=(), **more):
    where, values = geometry(shape, spacing, **more), smooth(shape)
    return values, where, prepare_study(torch.from_numpy(values), Grid(shape, np.asarray(where.affine_lps_mm)), task, further)


SEGMENTATION = {"kind": "segmentation", "classes": ("background", "a", "b")}
TURNED = ((0, -1, 0), (0, 0, 1), (1, 0, 0))


@pytest.mark.parametrize(
    ("more", "turn"),
    [
        ({}, None),
        ({"spacing_mm": (2.0, 1.5, 1.0)}, None),
        ({"spacing_mm": (2.5, 1.0, 1.0), "intensity": "standardised"}, TURNED),
        ({"test_time_flips": (1, 2), "overlap": 0.25}, TURNED),
    ],
)
def test_a_volume_is_segmented_alike(more, turn):
    task = Task(**SEGMENTATION, image_size=(8, 16, 16), **more)
    network, served = form_of("unet", task, channels=(4, 8))
    values, where, prepared = study((11, 22, 19), (2.0, 1.5, 1.0), task, **({} if turn is None else {"turn": turn}))
    found, wanted = ask_study(values, where, served), segment(network, prepared).numpy()
    assert (found.labels == wanted).mean() >= 0.9995  # voxels where two classes tie to the last digit
    lesions = [
        lesion
        for index, name in enumerate(task.classes)
        if index
        for lesion, _ in find_lesions(torch.from_numpy(found.labels == index), where, class_name=name, smallest=smallest_voxels(where))
    ]
    assert [one for one, _ in found.lesions] == lesions
    assert set(found.maps) == {task.classes.index(one.class_name) for one in lesions}
    assert len(found.maps) == 2
    logits = prepared.to_study(logits_of(network, prepared)).numpy()
    bias = network.get_submodule(network.layer_map.head).bias.detach().numpy()
    for index, margin in found.maps.items():
        wanted = logits[index] - bias[index] - logits[0] + bias[0]
        assert np.abs(margin - wanted).max() <= 1e-4 * max(1.0, float(np.abs(wanted).max()))


def test_slices_are_segmented_alike():
    task = Task(**SEGMENTATION, image_size=(32, 32), test_time_flips=(1,))
    network, served = form_of("unet", task, channels=(4, 8))
    values, where, prepared = study((5, 32, 32), (3.0, 1.0, 1.0), task)
    assert (ask_study(values, where, served).labels == segment(network, prepared).numpy()).mean() >= 0.9995


@pytest.mark.parametrize(("size", "shape"), [((32, 32), (6, 32, 32)), ((16, 16, 16), (12, 20, 18)), ((16, 16, 16), (16, 16, 16))])
def test_a_study_is_classified_alike(size, shape):
    task = Task(kind="classification", classes=("no", "yes"), image_size=size)
    network, served = form_of("resnet", task, channels=(4, 4, 8, 8))
    values, where, prepared = study(shape, (1.0, 1.0, 1.0), task)
    found = ask_study(values, where, served)
    wanted = class_logits(network, pictures_of(prepared), prepared).numpy()
    assert np.abs(found.logits - wanted).max() <= 1e-4 * max(1.0, float(np.abs(wanted).max()))
    assert found.labels is None
    assert found.maps[0].shape == shape


def test_slices_of_another_size_and_voxels_that_are_no_numbers_are_refused():
    task = Task(kind="classification", classes=("no", "yes"), image_size=(32, 32))
    _, served = form_of("resnet", task, channels=(4, 4, 4, 4))
    where = geometry((2, 16, 16), (1.0, 1.0, 1.0))
    for values, code in (
        (np.zeros((2, 16, 16), np.float32), "GRID_MISMATCH"),
        (np.full((2, 16, 16), np.nan, np.float32), "IMAGE_NOT_FINITE"),
    ):
        with pytest.raises(DataError) as caught:
            ask_study(values, where, served)
        assert caught.value.code == code


@pytest.mark.parametrize(
    ("task", "network", "shape"),
    [
        (Task(**SEGMENTATION, image_size=(8, 16, 16), spacing_mm=(2.5, 1.0, 1.0), channels=("t1", "t2")), ("unet", (4, 8)), (11, 22, 19)),
        (Task(**SEGMENTATION, image_size=(32, 32), channels=("t1", "t2")), ("unet", (4, 8)), (5, 32, 32)),
        (
            Task(kind="classification", classes=("no", "yes"), image_size=(16, 16, 16), intensity="standardised", channels=("t1", "t2")),
            ("resnet", (4, 4, 8, 8)),
            (12, 20, 18),
        ),
    ],
    ids=["volumes", "slices", "patch"],
)
def test_a_study_of_several_images_is_answered_alike(task, network, shape):
    own, served = form_of(network[0], task, channels=network[1])
    other, turn = smooth(shape, seed=2), TURNED if task.spatial_dims == 3 else ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    values, where, prepared = study(shape, (2.0, 1.5, 1.0), task, (other,), turn=turn)
    found, turned = ask_study(values, where, served, further=(other,)), ask_study(other, where, served, further=(values,))
    if task.kind is TaskKind.SEGMENTATION:
        assert (found.labels == segment(own, prepared).numpy()).mean() >= 0.9995
        assert (turned.labels == found.labels).mean() < 0.99
    else:
        wanted = class_logits(own, pictures_of(prepared), prepared).numpy()
        assert np.abs(found.logits - wanted).max() <= 1e-4 * max(1.0, float(np.abs(wanted).max()))
        assert np.abs(turned.logits - found.logits).max() > 1e-3
        assert found.maps[0].shape == shape
    for further in ((), (other, other)):
        with pytest.raises(DataError, match="expected t1, t2 of a study") as caught:
            ask_study(values, where, served, further=further)
        assert caught.value.code == "TASK_INPUTS"
