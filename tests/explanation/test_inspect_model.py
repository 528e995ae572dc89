from __future__ import annotations

import math

import torch

from data_contracts import NetworkSpec, TaskKind
from medkd.attribution.layer_trace import LayerTrace
from medkd.explanation.inspect_model import _figure, _similarity, flips_of_cases
from medkd.explanation.measures_of_maps import ExplanationQuery, Networks
from medkd.models._build import build_network
from medkd.targets import lesion_margin


def test_where_nothing_was_found_there_is_nothing_to_flip():
    """Two cases of a segmentation; in the second the teacher found nothing."""
    network = build_network(NetworkSpec(builder="unet", options={"channels": (4, 8, 8)}), seed=0).eval()
    answer = torch.zeros(2, 32, 32, dtype=torch.long)
    answer[0, 8:20, 8:20] = 1
    images = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(3)) * 2 - 1
    masks = (answer > 0).to(torch.uint8)
    question = ExplanationQuery(images, lesion_margin(masks), masks, answer, TaskKind.SEGMENTATION, 2)
    values, _ = flips_of_cases(question, Networks(network, network), progress=False)
    assert all(bool(value[1].isnan()) for value in values.values())
    assert float(values["student/flipped"][0]) in (0.0, 1.0)


def test_layers_that_cannot_be_compared_have_no_similarity():
    traced = LayerTrace(("a",), ((0,),), ((1.0,),), ("b", "c"), torch.tensor([[0.5, math.nan]], dtype=torch.float64))
    assert _similarity(traced) == ((0.5, None),)


def test_a_figure_counts_the_cases_that_have_none_and_is_none_where_all_lack_it():
    values = torch.tensor([1.0, math.nan, 3.0], dtype=torch.double)
    figure = _figure(values, ["a", "b", "c"])
    assert (figure.mean, figure.missing, figure.n) == (2.0, 1, 3)
    assert _figure(values * math.nan, ["a", "b", "c"]) is None
