"""Boxes from cells: merged as a brute-force derivation merges them, decoded as they were encoded, windows as one image."""

from __future__ import annotations

import pytest
import torch

from data_contracts import Geometry, NetworkSpec, Task
from medkd.distillation._cells import cells_of
from medkd.inference.detect import boxes_of_probability, centres_mm, decode, detect, detect_volume, suppress
from medkd.measures._boxes import Boxes, box_iou, boxes_of_labels
from medkd.models._build import build_network
from medkd.trace import LayerMap, Sample, with_layer_map


def by_hand(found, same):
    """Return the rows that stay: a box goes when a better one that stayed overlaps it by more than ``same``. Quadratic, box by box."""
    rows, kept = sorted(range(len(found)), key=lambda row: -float(found.scores[row])), []
    for row in rows:
        overlaps = [float(box_iou(found.places[row][None], found.places[other][None])) for other in kept]
        if all(overlap <= same for overlap in overlaps):
            kept.append(row)
    return kept


@pytest.mark.parametrize("axes", [2, 3])
def test_boxes_are_merged_as_by_a_brute_force_derivation(axes):
    draw = torch.Generator().manual_seed(axes)
    low = torch.rand(60, axes, generator=draw) * 20
    found = Boxes(torch.cat([low, low + 2 + torch.rand(60, axes, generator=draw) * 8], 1), torch.rand(60, generator=draw))
    kept = by_hand(found, 0.2)
    assert 1 < len(kept) < 60
    merged = suppress(found, same=0.2, most=100)
    assert torch.equal(merged.places, found.places[kept])
    assert torch.equal(suppress(found, same=0.2, most=3).scores, found.scores[kept[:3]])


def test_nothing_is_merged_to_nothing():
    assert len(suppress(Boxes(torch.zeros(0, 4), torch.zeros(0)))) == 0


@pytest.mark.parametrize(("space", "stride"), [((32, 48), 4), ((16, 32, 32), 2)])
def test_what_cells_should_say_decodes_to_the_boxes_of_the_labels(space, stride):
    labels = torch.zeros(1, *space, dtype=torch.int64)
    first, second = (slice(2, 9), slice(5, 11), slice(4, 12)), (slice(10, 15), slice(20, 31), slice(21, 27))
    labels[(0, *first[: len(space)])] = 1
    labels[(0, *second[: len(space)])] = 1
    logits = torch.zeros(1, 2, *(extent // stride for extent in space))
    cells = cells_of(Sample(inputs={"image": torch.zeros(1, 1, *space)}, labels=labels), logits)
    logits[:, 1] = torch.logit(cells.heat[:, 0].clamp(1e-3, 1 - 1e-3))
    (found,) = decode(logits, cells.boxes, space, lowest=0.9)
    wanted, _ = boxes_of_labels(labels[0])
    order = found.places[:, 0].argsort()
    torch.testing.assert_close(found.places[order], wanted, atol=1e-3, rtol=0)


def test_boxes_end_where_the_image_does_and_none_is_not_a_number():
    logits, boxes = torch.zeros(1, 2, 4, 4), torch.full((1, 4, 4, 4), 90.0)
    logits[0, 1, 0, 0] = 5
    boxes[:, :2] = -90.0
    (found,) = decode(logits, boxes, (16, 16), lowest=0.9)
    assert bool(found.places.isfinite().all())
    assert float(found.places.min()) >= 0
    assert float(found.places.max()) <= 16


class Bright(torch.nn.Module):
    """A detector that knows lesions when it sees them: bright cubes of 4 voxels; one cell per voxel."""

    def __init__(self):
        super().__init__()
        self.heads, self.boxes = torch.nn.Identity(), torch.nn.Identity()

    def forward(self, image):
        inside = torch.nn.functional.avg_pool3d(torch.nn.functional.pad(image, (1, 2, 1, 2, 1, 2)), 4, 1)
        centre = (inside > 0.999).float()
        outputs = torch.cat(
            [torch.full_like(centre, 0.5).expand(-1, 3, -1, -1, -1), torch.full_like(centre, 4.0).log().expand(-1, 3, -1, -1, -1)], 1
        )
        self.boxes(outputs)
        return self.heads(torch.cat([torch.zeros_like(centre), 20 * centre - 10], 1))


def test_windows_find_what_one_look_at_the_whole_volume_finds_once():
    volume = torch.zeros(1, 20, 24, 24)
    for at in ((2, 3, 4), (8, 10, 10), (15, 19, 18)):
        volume[(0, *(slice(low, low + 4) for low in at))] = 1
    model = with_layer_map(Bright(), LayerMap(feature_layers=(), cam_layer="heads", head="heads", other_heads={"boxes": "boxes"}))
    task = Task(kind="detection", classes=("background", "lesion"), image_size=(12, 12, 12), overlap=0.5)
    (whole,) = detect(model, volume[None])
    found = detect_volume(model, volume, task)
    assert len(found) == len(whole) == 3
    for boxes in (found, whole):
        order = boxes.places[:, 0].argsort()
        wanted = [[2, 3, 4, 6, 7, 8], [8, 10, 10, 12, 14, 14], [15, 19, 18, 19, 23, 22]]
        torch.testing.assert_close(boxes.places[order], torch.tensor(wanted, dtype=torch.float32))


def test_a_volume_that_is_smaller_than_a_window_is_padded_and_its_boxes_lie_in_it():
    volume = torch.zeros(1, 8, 24, 24)
    volume[0, 2:6, 5:9, 7:11] = 1
    model = with_layer_map(Bright(), LayerMap(feature_layers=(), cam_layer="heads", head="heads", other_heads={"boxes": "boxes"}))
    task = Task(kind="detection", classes=("background", "lesion"), image_size=(16, 24, 24))
    assert detect_volume(model, volume, task).places.tolist() == [[2, 5, 7, 6, 9, 11]]


def test_components_of_a_probability_map_are_boxes_scored_by_their_peak():
    probability = torch.zeros(12, 12)
    probability[1:4, 2:5], probability[2, 3] = 0.6, 0.7
    probability[8:11, 8:12] = 0.9
    probability[6, 0] = 0.4
    found = boxes_of_probability(probability)
    assert found.places.tolist() == [[8, 8, 11, 12], [1, 2, 4, 5]]
    torch.testing.assert_close(found.scores, torch.tensor([0.9, 0.7]))
    assert len(boxes_of_probability(torch.zeros(4, 6, 6))) == 0
    deep = torch.zeros(4, 6, 6)
    deep[1:3, 2:4, 0:5] = 0.8
    assert boxes_of_probability(deep).places.tolist() == [[1, 2, 0, 3, 4, 5]]


def test_centres_lie_where_the_geometry_says():
    affine = ((0.0, 0.0, 2.0, -10.0), (0.0, 3.0, 0.0, 5.0), (4.0, 0.0, 0.0, 100.0), (0.0, 0.0, 0.0, 1.0))
    geometry = Geometry(shape=(10, 10, 10), affine_lps_mm=affine, spacing_mm=(4.0, 3.0, 2.0), residual_mm=0.0)
    # Voxels 2 to 4 of every axis: the centre is that of voxel 3.
    found = Boxes(torch.tensor([[2.0, 2, 2, 5, 5, 5]]), torch.ones(1))
    assert centres_mm(found, geometry).tolist() == [[-4.0, 14.0, 112.0]]


def test_a_fresh_detector_is_sure_of_nothing():
    network = build_network(NetworkSpec(builder="detector", options={"channels": (4, 8), "head_features": 4})).eval()
    (found,) = detect(network, torch.zeros(1, 1, 32, 32), lowest=0.5)
    assert len(found) == 0
