"""Whether a study is what a model was trained on: modality, unit, spacing and extent, each said with both sides, or refused."""

from __future__ import annotations

from collections.abc import Iterator

from data_contracts import Caveat, Checkpoint, DataError, TrainingDomain, VolumeRef
from medkd.volumes.orientation import Grid, canonical_axes, grid_of
from medkd.wording import require_neutral

#: Spacing and extent may leave the range of the training by this factor before it is said: protocols vary.
TOLERATED = 1.5
#: A study that reaches this many times as far as the largest volume of the training shows what the model has never seen.
MUCH_LARGER = 1.5
GRAVE, UNKNOWN = 3, 2


def require_permitted(volume: VolumeRef, domain: TrainingDomain | None) -> None:
    """Refuse a study of a modality or unit that the model was not trained on, where its recipe forbids them.

    Raises:
        DataError: ``MODALITY_FORBIDDEN``.
    """
    if domain is None or domain.outside != "refuse":
        return
    if (domain.modalities and volume.modality not in domain.modalities) or (domain.units and volume.unit not in domain.units):
        raise DataError(
            "MODALITY_FORBIDDEN",
            f"expected {_listed(domain.modalities)} ({_listed(domain.units)}), which the model was trained on, the study is {volume.modality} "
            f"({volume.unit}), and the model's card forbids others; give it such a study, or choose a model that was trained on this one's kind",
        )


def caveats_of_study(volume: VolumeRef, checkpoint: Checkpoint) -> tuple[Caveat, ...]:
    """Return in what a study is not what a model was trained on: modality, unit, spacing, extent, and how far it reaches."""
    grid = grid_of(volume.geometry)
    # Spacing and extent of a picture are not known in the patient, and no range of the training is kept of them.
    turned = None if grid is None else canonical_axes(grid)[1]
    known = (*cases_caveats(checkpoint), *training_caveats(volume, checkpoint.domain, turned))
    largest = checkpoint.largest_extent_mm if checkpoint.task.spatial_dims == 3 else None
    if largest is None or turned is None:
        return known
    extent = tuple(size * step for size, step in zip(turned.shape, turned.spacing_mm, strict=True))
    if max(own / most for own, most in zip(extent, largest, strict=True)) <= MUCH_LARGER:
        return known
    lengths = " x ".join(f"{length:.0f}" for length in extent)
    text = f"the study covers {lengths} mm, much more than any volume the model was trained on; it was never measured on such studies."
    return (*known, Caveat(code="FIELD_OF_VIEW", text=require_neutral(text), severity=GRAVE))


def cases_caveats(checkpoint: Checkpoint) -> tuple[Caveat, ...]:
    """Return that a student saw no case while it was trained, or no label of a class, where that is so."""
    found = []
    if checkpoint.cases != "real":
        seen = "pictures synthesised from its teacher" if checkpoint.cases == "synthesised" else "noise"
        text = f"the model was trained on {seen} and on no case of a patient; what it learned of real studies is what its teacher's answers carry."
        found.append(Caveat(code="TRAINED_WITHOUT_CASES", text=require_neutral(text), severity=GRAVE))
    if checkpoint.hidden_classes:
        text = f"no label of the model's training showed {_listed(checkpoint.hidden_classes)}; what it says of it was learned from its teacher alone."
        found.append(Caveat(code="CLASS_WITHOUT_LABEL", text=require_neutral(text), severity=UNKNOWN))
    return tuple(found)


def training_caveats(volume: VolumeRef, domain: TrainingDomain | None, turned: Grid | None) -> tuple[Caveat, ...]:
    """Return in what a study lies outside of a model's training, or that this is not known.

    Args:
        volume: the study's.
        domain: of the model's checkpoint; None of a model from before that was kept.
        turned: the study's grid along (slice, row, column) of the patient's axes, as the ranges of the domain are; None of a picture.
    """
    found = _of(volume, domain, turned)
    return tuple(Caveat(code=code, text=require_neutral(text), severity=severity) for severity, code, text in found)


def _of(volume: VolumeRef, domain: TrainingDomain | None, turned: Grid | None) -> Iterator[tuple[int, str, str]]:
    known = domain or TrainingDomain()
    if known.modalities and volume.modality not in known.modalities:
        text = (
            f"the model was trained on {_listed(known.modalities)} ({_listed(known.units)}), the study is {volume.modality} ({volume.unit})"
        )
        yield GRAVE, "MODALITY_UNTRAINED", f"{text}; what it says of it was never measured."
    elif known.units and volume.unit not in known.units:
        text = f"the model was trained on values in {_listed(known.units)}, those of the study are {volume.unit}"
        yield GRAVE, "UNIT_UNTRAINED", f"{text}; what it says of it was never measured."
    if not known.modalities or not known.units:
        text = "training data unknown: the model does not say which modality and unit it was trained on"
        yield UNKNOWN, "TRAINING_DATA_UNKNOWN", f"{text}, so whether this study is alike cannot be said."
    if turned is None:
        return
    spacing = tuple(float(step) for step in turned.spacing_mm)
    extent = tuple(size * step for size, step in zip(turned.shape, spacing, strict=True))
    if (
        known.spacing_low_mm is not None
        and known.spacing_high_mm is not None
        and _outside(spacing, known.spacing_low_mm, known.spacing_high_mm)
    ):
        text = f"voxels are {_sizes(spacing)} mm, those of the training were {_sizes(known.spacing_low_mm)} to {_sizes(known.spacing_high_mm)} mm"
        yield GRAVE, "SPACING_UNTRAINED", f"{text}; the model was never measured on such studies."
    # Much larger studies have a caveat of their own.
    if known.extent_low_mm is not None and any(own * TOLERATED < low for own, low in zip(extent, known.extent_low_mm, strict=True)):
        text = f"the study covers {_sizes(extent)} mm, the smallest of the training {_sizes(known.extent_low_mm)} mm"
        yield GRAVE, "EXTENT_UNTRAINED", f"{text}; the model was never measured on such studies."


def _outside(own: tuple[float, ...], low: tuple[float, ...], high: tuple[float, ...]) -> bool:
    return any(o * TOLERATED < a or o > b * TOLERATED for o, a, b in zip(own, low, high, strict=True))


def _sizes(sizes: tuple[float, ...]) -> str:
    return " x ".join(f"{size:.3g}" for size in sizes)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "unknown"
