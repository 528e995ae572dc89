from __future__ import annotations

import torch

from medkd.phantom.cysts import mask_classes, with_cysts
from medkd.phantom.render import draw_cases, render_key_slices


def test_every_third_case_has_a_dark_smooth_lesion_and_the_others_stay():
    plain = draw_cases(12, 5)
    cases = with_cysts(plain)
    cyst = torch.arange(12) % 3 == 2
    assert cases.label.tolist() == [2 if found else label for found, label in zip(cyst.tolist(), plain.label.tolist(), strict=True)]
    assert cases.label.bincount().tolist() == [4, 4, 4]
    (before, _), (after, masks) = render_key_slices(plain), render_key_slices(cases)
    assert torch.equal(before[~cyst], after[~cyst])
    inside, round_it = masks > 0, masks == 0
    for row in cyst.nonzero()[:, 0].tolist():
        # Darker than the same place was, and nothing changed far from it.
        assert after[row][inside[row]].float().mean() < before[row][inside[row]].float().mean() - 100
        assert (after[row] == before[row])[round_it[row]].float().mean() > 0.8


def test_masks_name_the_class_of_a_voxel():
    cases = with_cysts(draw_cases(6, 5))
    _, masks = render_key_slices(cases)
    classes = mask_classes(masks, cases)
    assert classes.dtype == masks.dtype
    assert [sorted(set(one.unique().tolist())) for one in classes] == [[0, 1], [0, 1], [0, 2]] * 2
    assert torch.equal(classes > 0, masks > 0)


def test_both_of_a_pair_are_of_one_class():
    plain = draw_cases(6, 5)
    doubled = plain[[row for row in range(6) for _ in range(2)]]
    labels = with_cysts(doubled, paired=True).label.view(6, 2)
    assert torch.equal(labels[:, 0], labels[:, 1])
    assert (labels[:, 0] == 2).nonzero()[:, 0].tolist() == [2, 5]
