"""What maps, measures and checks are called on pages and pictures."""

from __future__ import annotations

from collections.abc import Sequence

from data_contracts import SanityCheck, Structures


def failed_mark(failed: Sequence[str], structures: Structures = "lesion") -> str:
    """Return what is written over a map whose explainer failed tests on this network; empty where none failed."""
    return ("failed: " + ", ".join(failed)).replace("lesion", noun_of(structures)) if failed else ""


#: Measures of a map that tables and pages show: heading, and what it means. "The map" is the part that shares are taken of.
MEASURES_IN_WORDS = {
    "relevance_mass_accuracy": ("inside", "share of the map that lies inside the lesion (1: all of it)"),
    "pointing_game": ("points", "1 where the map is highest inside the lesion, 0 where outside"),
    "mass_0_to_5_mm": ("0-5", "share within 5 mm round the lesion"),
    "mass_5_to_20_mm": ("5-20", "share 5 to 20 mm away from it"),
    "mass_beyond_20_mm": (">20", "share more than 20 mm away from it"),
    "map_auprc": ("AUPRC", "how well the map, cut at every height, finds the lesion (1: perfectly)"),
    "otsu_iou": ("IoU", "overlap of the map's bright part with the lesion (1: the same voxels)"),
    "deletion": ("del", "what is left of the answer once the map's highest voxels are hidden (low: needed)"),
    "insertion": ("ins", "what comes back of the answer once they are shown (high: they suffice)"),
    "cosine_agreement": ("cosine", "how alike the student's map and the teacher's are, voxel by voxel (1: the same up to a factor)"),
    "rank_agreement": ("teacher", "how alike the student's map and the teacher's order the voxels (1: the same order)"),
}
#: What one thing that a segmentation outlines is called.
_NOUNS: dict[Structures, str] = {"lesion": "lesion", "anatomy": "structure"}


def noun_of(structures: Structures) -> str:
    """Return what one thing that a model outlines is called: a ``lesion``, or of anatomy a ``structure``, which nothing is wrong with."""
    return _NOUNS[structures]


def measures_in_words(structures: Structures) -> dict[str, tuple[str, str]]:
    """Return the measures with their headings and meanings, worded for what the model outlines."""
    return {name: (heading, meaning.replace("lesion", noun_of(structures))) for name, (heading, meaning) in MEASURES_IN_WORDS.items()}


#: Which part of a map shares are taken of.
MASS_IN_WORDS = {
    "absolute": "shares are of the map's magnitude",
    "positive": "shares are of what speaks for the structure, the map's positive part",
}
#: What the colours say, on every page and picture.
COLOURS_IN_WORDS = "orange speaks for it, blue against"


def checks_text(checks: Sequence[SanityCheck], structures: Structures = "lesion") -> str:
    """Return which tests an explainer failed and passed, each with its value and the bound it failed; what was not tested is left out."""
    failed = [f"{one.name} {one.value:.3g} (bound {one.limit:g})" for one in checks if one.passed is False and one.value is not None]
    passed = [f"{one.name} {one.value:.3g}" for one in checks if one.passed and one.value is not None]
    parts = ([f"failed: {', '.join(failed)}"] if failed else []) + ([f"passed: {', '.join(passed)}"] if passed else [])
    text = "; ".join(parts) or "not tested: " + ", ".join(f"{one.name} ({one.reason})" for one in checks)
    return text.replace("lesion", noun_of(structures))
