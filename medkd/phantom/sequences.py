"""Two sequences of one phantom study: with contrast agent, as it is drawn, and without: the same lesion, harder to see."""

from __future__ import annotations

from dataclasses import replace

from medkd.phantom.render import PhantomCases

#: The first is what a case of the phantom is otherwise.
SEQUENCES = ("enhanced", "plain")
#: What is left of a lesion's contrast and texture without contrast agent, and how much stronger the noise is.
CONTRAST_LEFT, NOISE_FACTOR = 0.45, 1.25


def sequence(cases: PhantomCases, name: str) -> PhantomCases:
    """Return the cases as one sequence shows them: body, organs, lesion and marker lie where they are, noise is drawn anew.

    Args:
        cases: as they were drawn.
        name: one of :data:`SEQUENCES`.
    """
    if name == SEQUENCES[0]:
        return cases
    lesion, more = cases.lesion.clone(), cases.more.clone()
    lesion[:, 5], more[..., 5] = CONTRAST_LEFT * lesion[:, 5], CONTRAST_LEFT * more[..., 5]
    return replace(
        cases,
        lesion=lesion,
        more=more,
        texture=CONTRAST_LEFT * cases.texture,
        noise=NOISE_FACTOR * cases.noise,
        noise_seed=cases.noise_seed + 1,
    )
