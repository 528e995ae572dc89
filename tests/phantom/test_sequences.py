from __future__ import annotations

import torch

from medkd.phantom.render import draw_cases, render_key_slices
from medkd.phantom.sequences import CONTRAST_LEFT, SEQUENCES, sequence


def test_the_plain_sequence_shows_the_same_lesion_with_less_contrast():
    cases = draw_cases(32, 3)
    assert sequence(cases, SEQUENCES[0]) is cases
    (enhanced, masks), (plain, again) = (render_key_slices(sequence(cases, name)) for name in SEQUENCES)
    assert torch.equal(masks, again)
    inside, outside = masks > 0, masks == 0

    def contrast(images):
        return torch.stack([one[own].float().mean() for one, own in zip(images, inside, strict=True)])

    # The body below is the same: what differs inside of the lesion is the contrast that is left away.
    lost = contrast(enhanced) - contrast(plain)
    expected = (1 - CONTRAST_LEFT) * 400 * cases.lesion[:, 5]
    # Noise of two sequences, and soft edges, lie between the mean and what was taken away.
    assert 0.7 < (lost / expected).mean() < 1.0
    # Noise is drawn anew, and everything else lies where it lay.
    assert torch.corrcoef(torch.stack([enhanced[outside], plain[outside]]).float())[0, 1] > 0.95
    assert (enhanced[outside] != plain[outside]).float().mean() > 0.5
