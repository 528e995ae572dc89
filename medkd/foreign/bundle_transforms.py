"""What a bundle's preprocessing does with an image, as far as it is said in plain values; everything else becomes a caveat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

#: Transforms that change neither values nor grid of the image.
_HARMLESS = ("LoadImage", "EnsureChannelFirst", "EnsureType", "CastToType", "ToTensor", "ToDevice", "Identity", "SelectItems", "AsDiscrete")


@dataclass(frozen=True)
class SeenByBundle:
    """What becomes of an image before the network of a bundle.

    Attributes:
        intensity: how a task scales values.
        window: of a task that maps one.
        scale: what a windowed value is multiplied by.
        shift: what is added then.
        spacing: mm along the axes of the bundle's arrays; empty where volumes are taken as they are.
        pointing: where the axes of its arrays point.
        roi: voxels that are seen at once, of a sliding window.
        overlap: of that.
        caveats: what cannot be done here.
    """

    intensity: Literal["window", "standardised", "z_score"] = "window"
    window: tuple[float, float] | None = None
    scale: float = 1.0
    shift: float = 0.0
    spacing: tuple[float, ...] = ()
    pointing: tuple[str, ...] = ("R", "A", "S")
    roi: tuple[int, ...] = ()
    overlap: float = 0.5
    caveats: tuple[str, ...] = ()


@dataclass
class _Found:
    fields: dict[str, Any] = field(default_factory=dict)
    caveats: list[str] = field(default_factory=list)


def seen_by_bundle(config: Mapping[str, Any]) -> SeenByBundle:
    """Return what the plain values of a configuration's preprocessing and inferer say; a caveat for each step that is not understood."""
    found = _Found()
    scaled = False
    for step in _steps(config):
        kind = str(step.get("_target_", "")).rpartition(".")[2].removesuffix("Dict").removesuffix("d").removesuffix("D")
        if kind in _HARMLESS or step.get("_disabled_") is True:
            continue
        understood = _understand(kind, step, found)
        scaled = scaled or kind in ("ScaleIntensityRange", "NormalizeIntensity", "ScaleIntensity")
        if not understood:
            found.caveats.append(f"The step {kind or 'without a name'} of its preprocessing is not done here.")
    if not scaled:
        found.caveats.append("How its images were scaled is not said in plain values: the window of the task is taken.")
    _inferer(config, found)
    return SeenByBundle(**found.fields, caveats=tuple(found.caveats))


def _steps(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for key in ("preprocessing", "validate#preprocessing", "pre_transforms"):
        part = config.get(key)
        steps = part.get("transforms") if isinstance(part, Mapping) else None
        if isinstance(steps, list):
            yield from (step for step in steps if isinstance(step, Mapping))
            return


def _understand(kind: str, step: Mapping[str, Any], found: _Found) -> bool:
    """Take what a transform does into the fields, where it says it in plain values."""
    try:
        if kind == "ScaleIntensityRange":
            low, high, least, most = (float(step[name]) for name in ("a_min", "a_max", "b_min", "b_max"))
            found.fields |= {"intensity": "window", "window": (low, high), "scale": (most - least) / 2, "shift": (most + least) / 2}
            if not step.get("clip"):
                found.caveats.append("Values outside of its window are clipped here; its own pipeline lets them be.")
        elif kind == "NormalizeIntensity" and not step.get("subtrahend") and not step.get("divisor"):
            found.fields |= {"intensity": "z_score"}
            if step.get("nonzero"):
                found.caveats.append("Its values were scaled by the voxels that are not zero; here the box round them counts.")
        elif kind == "Orientation":
            found.fields["pointing"] = _letters(step["axcodes"])
        elif kind == "Spacing":
            found.fields["spacing"] = tuple(float(one) for one in step["pixdim"])
            found.caveats.append("Volumes are resampled before their values are scaled, whatever the order of its own steps.")
        else:
            return False
    except (KeyError, TypeError, ValueError):
        return False
    return True


def _letters(axcodes: Any) -> tuple[str, ...]:
    letters = tuple(str(axcodes))
    if len(letters) != 3 or {frozenset("LR"), frozenset("AP"), frozenset("SI")} != {
        next(pair for pair in map(frozenset, ("LR", "AP", "SI")) if letter in pair) for letter in letters if letter in "LRAPSI"
    }:
        raise ValueError(f"expected one letter for each axis, got {axcodes!r}")
    return letters


def _inferer(config: Mapping[str, Any], found: _Found) -> None:
    inferer = config.get("inferer")
    if not isinstance(inferer, Mapping):
        return
    roi, overlap = inferer.get("roi_size"), inferer.get("overlap")
    if isinstance(roi, list) and all(isinstance(extent, int) for extent in roi):
        found.fields["roi"] = tuple(roi)
    if isinstance(overlap, int | float) and 0 <= overlap < 1:
        found.fields["overlap"] = float(overlap)
