"""From a fingerprint to sizes, networks, batch and epochs: rules, each with its reason (after Isensee et al. 2021, nnU-Net)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from medkd.planning.fingerprint import Fingerprint

#: Voxels of a patch at most, by what a processor takes in one step; nnU-Net plans for 8 GB of a GPU.
MOST_VOXELS, MOST_PIXELS = 64 * 128 * 128, 256 * 256
#: Extent at the bottom of a U-Net at least, along each axis that is halved (nnU-Net: 4).
_BOTTOM = 4
#: An axis waits with being halved while its voxels are so many times larger than the smallest of those that can be halved (nnU-Net: 2).
_WAITS = 2.0
#: Widths per level of the teacher's U-Net, finest first.
_WIDTHS = (24, 48, 96, 128, 160)
#: A spacing is anisotropic where the coarsest axis is so many times coarser than the finest (nnU-Net).
ANISOTROPIC = 3.0
#: Multiply-adds a second that a step of training gets out of two cores, forward and backward: 3.9e10 of the hippocampus teacher on an AMD EPYC (AVX2,
#: float32; 14 s an epoch of 116 volumes); others differ by a factor of three.
_SPEED = 3e10
#: Epochs of a plan: at least, and at most where nobody asks for a time; minutes that are planned for then. Where somebody does, the thousand that nnU-Net
#: trains are the most: more would only repeat.
_FEWEST_EPOCHS, _MOST_EPOCHS, _MOST_ASKED, _MINUTES = 8, 60, 1000, 60.0
#: Words of sides in names of classes, and what the other side is called by letters.
_SIDES = frozenset({"left", "right", "links", "rechts", "gauche", "droite", "sinister", "dexter", "左", "右"})
_OTHER_SIDE = {"l": "r", "r": "l", "lh": "rh", "rh": "lh", "lt": "rt", "rt": "lt"}
#: Share of the data set's voxels that one batch sees at most (nnU-Net).
_BATCH_SHARE = 0.05


#: Of a U-Net: between neighbouring levels, finest first, the stride along each axis.
Strides = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Decision:
    """A value of a recipe with the reason why it is that."""

    value: Any
    why: str


@dataclass(frozen=True)
class RecipePlan:
    """What was decided of a folder.

    Attributes:
        kind: classification or segmentation.
        image_size: what a network sees at once.
        spacing: mm, of volumes; None of pictures.
        intensity: ``window`` or ``standardised``.
        window: of intensities; None where they are standardised.
        teacher: builder's options of its network.
        student: the same of the students'.
        builder: name of both networks.
        batch: cases of a step.
        epochs: of the teacher; students make as many.
        augment: how training cases are varied.
        flips: axes that answers are averaged over, mirrored along them.
        foreground: share of patches that are centred on a structure; None of pictures.
        gate: bounds that the teacher must keep.
    """

    kind: str
    image_size: Decision
    spacing: Decision | None
    intensity: Decision
    window: Decision | None
    builder: str
    teacher: Decision
    student: Decision
    batch: Decision
    epochs: Decision
    augment: Decision
    flips: Decision
    foreground: Decision | None
    gate: Decision


def decide(found: Fingerprint, *, minutes: float | None = None) -> RecipePlan:
    """Return the plan of a recipe.

    Args:
        found: of the folder.
        minutes: that the teacher's training may take on two cores; None for an hour, and no more epochs than are usually of use.
    """
    volumes = found.source != "image_folder"
    segmentation = volumes or "background" in found.classes
    spacing = _spacing(found) if volumes else None
    if spacing is not None:
        size, strides = _patch(found, spacing.value)
    else:
        size = _picture(found, segmentation=segmentation)
        strides = pooling(size.value, [1.0] * len(size.value))
    intensity, window = _intensity(found)
    teacher = _unet(size.value, strides) if segmentation else _resnet(size.value)
    student = _student(teacher.value)
    batch = _batch(found, size.value, volumes=volumes)
    augment, flips = _views(found, len(size.value))
    return RecipePlan(
        kind="segmentation" if segmentation else "classification",
        image_size=size,
        spacing=spacing,
        intensity=intensity,
        window=window,
        builder="unet" if segmentation else "resnet",
        teacher=teacher,
        student=student,
        batch=batch,
        epochs=_epochs(found, size.value, strides, teacher.value, minutes),
        augment=augment,
        flips=flips,
        foreground=_foreground(found, size.value) if volumes else None,
        gate=_gate(found, segmentation=segmentation),
    )


def _spacing(found: Fingerprint) -> Decision:
    """Return the spacing that volumes are brought to: the median; of an axis that is far coarser the tenth percentile."""
    median = np.array(found.median_spacing)
    shown = " x ".join(f"{value:.3g}" for value in median)
    coarse = int(median.argmax())
    if found.anisotropy > ANISOTROPIC:
        median[coarse] = max(float(np.percentile(found.spacings[:, coarse], 10)), float(np.delete(median, coarse).max()))
        return Decision(
            _rounded(median), f"median {shown} mm; axis {coarse} is {found.anisotropy:.1f} times coarser, so its 10th percentile"
        )
    return Decision(
        _rounded(median), f"median of {found.cases} cases ({shown} mm); largest to smallest {found.anisotropy:.2f}, below {ANISOTROPIC:g}"
    )


def _rounded(values: Any) -> list[float]:
    return [float(f"{value:.4g}") for value in values]


def _patch(found: Fingerprint, spacing: list[float]) -> tuple[Decision, Strides]:
    """Return the patch and its strides: the median volume at the target spacing, made smaller along its longest axis until a step fits, and divisible."""
    shapes = found.shapes * found.spacings / np.array(spacing)
    median = np.median(shapes, axis=0)
    size = np.array([max(8, round(value)) for value in median])
    while int(np.prod(size)) > MOST_VOXELS:
        size[int((size / median).argmax() if (size < median).all() else size.argmax())] *= 0.9
    wanted = [int(value) for value in size]
    strides = pooling(wanted, spacing)
    patch, steps = _divisible(wanted, strides)
    # Rounded up, an axis may allow another halving, which asks for larger multiples.
    for _ in range(len(_WIDTHS)):
        again = pooling(patch, spacing)
        if again == strides:
            break
        strides = again
        patch, steps = _divisible(wanted, strides)
    whole = "the whole of a median volume" if int(np.prod(median)) <= MOST_VOXELS else f"as much as {MOST_VOXELS} voxels a step allow"
    shown = " x ".join(str(round(value)) for value in median)
    multiples = str(steps[0]) if len(set(steps)) == 1 else " x ".join(map(str, steps))
    return (
        Decision(patch, f"{whole} ({shown} voxels at this spacing), rounded up to multiples of {multiples} for {len(strides) + 1} levels"),
        strides,
    )


def _divisible(size: list[int], strides: Strides) -> tuple[list[int], list[int]]:
    """Return a size rounded up to what strides divide, and the product of the strides along each axis."""
    steps = [math.prod(along) for along in zip(*strides, strict=True)]
    return [max(step, math.ceil(value / step) * step) for value, step in zip(size, steps, strict=True)], steps


def pooling(size: list[int], spacing: list[float]) -> Strides:
    """Return the strides between the levels of a U-Net, axis by axis, as nnU-Net plans them (Isensee et al. 2021, supplement).

    An axis is halved while four voxels are left of it, and waits while its voxels are twice as large as the finest of those that are halved, or more.

    Args:
        size: voxels of the patch.
        spacing: mm along the same axes.
    """
    left, at = list(size), list(spacing)
    strides: list[tuple[int, ...]] = []
    while len(strides) < len(_WIDTHS) - 1:
        able = [axis for axis, extent in enumerate(left) if extent >= 2 * _BOTTOM]
        finest = min((at[axis] for axis in able), default=0.0)
        halved = [axis for axis in able if at[axis] < _WAITS * finest]
        # As nnU-Net: the last axis that is left alone must have more to give.
        if not halved or (len(halved) == 1 and left[halved[0]] < 3 * _BOTTOM):
            break
        for axis in halved:
            left[axis], at[axis] = math.ceil(left[axis] / 2), 2 * at[axis]
        strides.append(tuple(2 if axis in halved else 1 for axis in range(len(size))))
    # A U-Net has two levels at least; what is too small for that is rounded up to it.
    return tuple(strides) or ((2,) * len(size),)


def _picture(found: Fingerprint, *, segmentation: bool) -> Decision:
    """Return the size of pictures: a square that holds the median picture, smaller where small lesions stay eight pixels wide."""
    longer = int(np.median(found.shapes.max(axis=1)))
    wanted = min(longer, 256 if segmentation else 224)
    why = f"median picture {' x '.join(map(str, found.median_shape))}, aspect kept"
    if found.lesion_sides:
        small = float(np.percentile(found.lesion_sides, 5))
        least = 8 * longer / max(small, 1.0)
        wanted = int(min(wanted, max(least, 128)))
        why += f"; the smallest twentieth of the lesions ({small:.0f} pixels) keeps {small * wanted / longer:.0f}"
    step = 16
    side = max(32, round(wanted / step) * step)
    return Decision([side, side], f"{why}; a multiple of {step}")


def _intensity(found: Fingerprint) -> tuple[Decision, Decision | None]:
    if found.source == "image_folder":
        return Decision("window", "stored values of 8 bits mean the same in every picture"), Decision([0.0, 255.0], "all values of 8 bits")
    if found.channels:
        return Decision("standardised", f"the images of a case, {', '.join(found.channels)}, have no unit in common"), None
    low, _, high = found.percentiles
    measured = found.whole != (0.0, 0.0)
    # Air in Hounsfield units is near -1000: nothing else has such values.
    if found.modality.startswith("CT") or (not found.modality and found.whole[0] <= -900):
        if not measured:
            return Decision("window", "CT has a unit"), Decision([-160.0, 240.0], "soft tissue: intensities are not known before ingestion")
        window = [float(math.floor(low)), float(max(math.ceil(high), math.floor(low) + 1))]
        return Decision("window", "CT has a unit"), Decision(window, "0.5th and 99.5th percentile of the foreground")
    seen = (
        f"foreground {found.mean:.4g} +- {found.deviation:.4g}, whole range {found.whole[0]:.4g} to {found.whole[1]:.4g}"
        if measured
        else "not read"
    )
    return Decision("standardised", f"{found.modality or 'no modality is named'}: values have no unit ({seen})"), None


def _unet(size: list[int], strides: Strides) -> Decision:
    options: dict[str, Any] = {"channels": list(_WIDTHS[: len(strides) + 1]), "residual_units": 1}
    bottom = [extent // math.prod(along) for extent, along in zip(size, zip(*strides, strict=True), strict=True)]
    why = f"{len(strides) + 1} levels: {' x '.join(map(str, bottom))} voxels are left at the bottom"
    if all(stride == 2 for step in strides for stride in step):
        return Decision(options, why)
    return Decision(
        options | {"strides": [stride for step in strides for stride in step]},
        f"{why}; strides, an axis after another from level to level: coarse axes wait until the others are as coarse, short ones stay",
    )


def _resnet(size: list[int]) -> Decision:
    options: dict[str, Any] = {"channels": [32, 64, 96, 128], "blocks": [1, 1, 2, 2]}
    if size[0] >= 96:
        return Decision(options | {"stem_stride": 2, "stem_kernel": 5}, f"pictures of {size[0]} pixels: the stem halves them")
    return Decision(options, f"pictures of {size[0]} pixels: the stem keeps them")


def _student(teacher: dict[str, Any]) -> Decision:
    """Return the student: a quarter of the widths and no deeper, so that it has less than a tenth of the parameters (they go with the square)."""
    options = {name: value for name, value in teacher.items() if name != "blocks"}
    channels = [max(4, 4 * round(width / 16)) for width in teacher["channels"]]
    return Decision(options | {"channels": channels}, "a quarter of the teacher's widths: about a sixteenth of its parameters")


def _batch(found: Fingerprint, size: list[int], *, volumes: bool) -> Decision:
    if not volumes:
        return Decision(min(32, max(4, 2 * (found.cases // 40))), f"32, or a twentieth of {found.cases} cases where these are few")
    voxels, patch = float(np.prod(found.shapes, axis=1, dtype=float).sum()), math.prod(size)
    share = _BATCH_SHARE * voxels / patch
    fits = 2 * MOST_VOXELS / patch
    batch = int(max(2, min(share, fits, 9)))
    return Decision(batch, f"a twentieth of all voxels is {share:.1f} patches, memory takes {fits:.1f}; 2 to 9")


def _epochs(found: Fingerprint, size: list[int], strides: Strides, teacher: dict[str, Any], minutes: float | None) -> Decision:
    """Return the epochs that fit into a time, by multiply-adds: forward once and backward twice."""
    axes, widths = len(size), teacher["channels"]
    kernels = 3**axes * (5 if axes == 3 or "residual_units" in teacher else 4)
    # The U-Net halves the grid before its first level, the ResNet after it.
    first = math.prod(strides[0]) if "residual_units" in teacher else teacher.get("stem_stride", 1) ** axes
    steps = [math.prod(step) for step in (*strides[1:], strides[-1])] if "residual_units" in teacher else [2**axes] * (len(widths) - 1)
    voxels, passes = math.prod(size) / first, 0.0
    for width, step in zip(widths, (*steps, 1), strict=True):
        passes += voxels * width**2 * kernels
        voxels /= step
    seconds = max(3 * passes / _SPEED * found.cases * 0.7, 1e-6)
    most = _MOST_EPOCHS if minutes is None else _MOST_ASKED
    epochs = min(most, max(_FEWEST_EPOCHS, round(60 * (minutes or _MINUTES) / seconds)))
    asked = f"{_MINUTES:g} where none are asked for" if minutes is None else f"{minutes:g} asked for"
    return Decision(
        epochs,
        f"about {seconds / 60:.1f} minutes an epoch on two cores by its multiply-adds, {asked}; {_FEWEST_EPOCHS} to {most} (`medkd plan` measures)",
    )


def _views(found: Fingerprint, axes: int) -> tuple[Decision, Decision]:
    """Return how training cases are varied, and the axes that answers are mirrored along and averaged over."""
    sided = sided_classes(tuple(found.classes))
    if sided:
        named = " and ".join(sided)
        return (
            Decision("none", f"{named} have a side: mirrored, left would be trained as right"),
            Decision([], f"{named} have a side: no axis is mirrored"),
        )
    return (
        Decision(
            "affine", "Mirrored, turned, scaled, shifted and changed in contrast: no more is known of the data than that this harms none"
        ),
        Decision(
            [axes - 1],
            f"Each answer is the mean of two passes, of the image and its mirror image, which doubles its time; axis {axes - 1} is the one that training mirrors, "
            "an axis that it does not may cost more than it brings",
        ),
    )


def sided_classes(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the classes whose names say a side of the patient; ``l`` and ``r`` only where the other one is a class too (L1 is a vertebra)."""
    parts = {name: tuple(part.lower() for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+|[左右]", name)) for name in classes}
    every = set(parts.values())
    found = []
    for name, words in parts.items():
        other = {tuple(_OTHER_SIDE.get(word, word) for word in words)} - {words}
        if _SIDES & set(words) or other & every:
            found.append(name)
    return tuple(found)


def _foreground(found: Fingerprint, size: list[int]) -> Decision:
    whole = bool((np.array(size) >= np.array(found.median_shape)).all())
    share = sum(found.frequencies.values())
    why = (
        "patches hold whole volumes: where they are centred matters little"
        if whole
        else f"structures take {100 * share:.2g} % of the voxels"
    )
    return Decision(0.33 if whole else 0.5, why)


def _gate(found: Fingerprint, *, segmentation: bool) -> Decision:
    if segmentation:
        share = sum(found.frequencies.values())
        bound = 0.5 if share > 0.002 or not found.frequencies else 0.3
        return Decision(
            {"min_dice": bound}, f"a start: structures take {100 * share:.2g} % of the voxels; raise it to what the field reaches"
        )
    bounds: dict[str, Any] = {"min_auc": 0.65}
    if not found.masks:
        return Decision(bounds, "clearly above chance; raise it to what the field reaches")
    area = found.frequencies.get("lesion", 0.0)
    bounds["min_relevance_mass_accuracy"] = float(f"{max(0.02, 1.2 * area):.2g}")
    return Decision(bounds, f"clearly above chance, and more of the map on the lesion than its share of the picture ({100 * area:.2g} %)")
