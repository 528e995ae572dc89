"""Cases with no lesion, one or several: as many components as lesions were drawn, each case by itself, one lesion as before."""

from __future__ import annotations

import pytest
import torch

from medkd.measures._boxes import boxes_of_labels
from medkd.phantom.lesion_counts import with_lesion_counts
from medkd.phantom.render import draw_cases, render_key_slices, render_volume


@pytest.fixture(scope="module")
def cases():
    return draw_cases(24, 5)


def test_masks_have_as_many_components_as_lesions_were_drawn(cases):
    several = with_lesion_counts(cases, (0, 3), 9)
    _, masks = render_key_slices(several)
    counted = [len(boxes_of_labels(mask)[0]) for mask in masks]
    drawn = (several.lesion[:, 2] > 0).int() + (several.more[:, :, 2] > 0).sum(1)
    assert counted == drawn.tolist()
    assert {0, 1, 2, 3} <= set(counted)


def test_one_lesion_a_case_is_what_it_was(cases):
    assert with_lesion_counts(cases, (1, 1), 9) is cases


def test_a_case_does_not_depend_on_the_number_of_cases(cases):
    few, all_cases = with_lesion_counts(cases[:4], (0, 3), 9), with_lesion_counts(cases, (0, 3), 9)
    assert torch.equal(few.more, all_cases.more[:4])
    assert torch.equal(render_key_slices(few)[0], render_key_slices(all_cases)[0][:4])


def test_a_lesion_that_is_not_there_leaves_no_trace_in_the_image(cases):
    none = with_lesion_counts(cases, (0, 0), 9)
    images, masks = render_key_slices(none)
    assert not bool(masks.any())
    before, where = render_key_slices(cases)
    assert torch.equal(images[where == 0].float().median(), before[where == 0].float().median())
    assert not torch.equal(images, before)


def test_further_lesions_are_volumes_too(cases):
    several = with_lesion_counts(cases[:6], (3, 3), 9)
    _, mask = render_volume(several, 0)
    assert len(boxes_of_labels(mask)[0]) == 1 + int((several.more[0, :, 2] > 0).sum())
