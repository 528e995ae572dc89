"""Artefacts put into cases, and the control of each: a change of equal energy that means nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from medkd.audit.acquisition import SETTINGS
from medkd.audit.canvas import Canvas, Layer
from medkd.audit.marks import MARKS
from medkd.seeds import derive_seed

#: Share of the values of a volume that is brightest or darkest whatever they are: outliers are no range.
_TAIL = 0.5


@dataclass(frozen=True)
class AuditCase:
    """One case as a network sees it.

    Attributes:
        image: float32 [*space], windowed or standardised.
        lesion: bool [*space].
        valid: bool [*space].
        key: of the case; what is drawn by chance follows from it.
    """

    image: Tensor
    lesion: Tensor
    valid: Tensor
    key: str

    def value_range(self) -> tuple[float, float]:
        """Return what is darkest and what is brightest in such an image: of a windowed one -1 and 1, of others their percentiles."""
        low, high = float(self.image.min()), float(self.image.max())
        if low >= -1 and high <= 1:
            return -1.0, 1.0
        inside = self.image[self.valid].numpy()
        darkest, brightest = np.percentile(inside, [_TAIL, 100 - _TAIL])
        return float(darkest), max(float(brightest), float(darkest) + 1e-6)


@dataclass(frozen=True)
class ChangedCase:
    """A case with an artefact, and with its control.

    Attributes:
        image: float32 [*space] with the artefact.
        control: float32 [*space] with the control's change instead.
        place: bool [*space] that a mark covers; None of an acquisition.
        energy: sum of squares of the control's change as a multiple of the artefact's.
    """

    image: Tensor
    control: Tensor
    place: Tensor | None
    energy: float


def put_in(case: AuditCase, name: str) -> ChangedCase:
    """Return a case with an artefact of :data:`MARKS` or :data:`SETTINGS`, and with its control."""
    low, high = case.value_range()
    picture = ((case.image - low) / (high - low)).numpy()
    rng = np.random.default_rng(derive_seed("audit", name, case.key))
    valid = case.valid.numpy()
    place = None
    if name in MARKS:
        layer = _layer(case, name)
        place = np.broadcast_to(layer.place, picture.shape)
        changed = picture + layer.opacity * (layer.value - picture)
        # Where a square of noise stands, or pixels are strewn, a network that has learned lesions sees one: of the phantom a clean teacher answered by .48.
        control = _everywhere(picture, changed, valid & ~place & ~case.lesion.numpy(), rng, smooth=True)
    else:
        changed = np.where(valid, SETTINGS[name](picture, rng), picture)
        control = _everywhere(picture, changed, valid, rng, smooth=name == "noise")
    return ChangedCase(
        image=_back(changed, picture, case.image, (low, high)),
        control=_back(control, picture, case.image, (low, high)),
        place=None if place is None else torch.from_numpy(place.copy()),
        energy=_energy(control, picture) / max(_energy(changed, picture), 1e-12),
    )


def _layer(case: AuditCase, name: str) -> Layer:
    """Return the layer of one mark: a volume carries it on every slice, outside the lesion of all of them."""
    return MARKS[name](Canvas(_flat(case.lesion.numpy()), _flat(case.valid.numpy())))


def _flat(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask [row, column]: of a volume, what any slice holds."""
    return np.asarray(mask.reshape(-1, *mask.shape[-2:]).any(axis=0), dtype=np.bool_)


def _back(changed: NDArray[Any], picture: NDArray[Any], image: Tensor, value_range: tuple[float, float]) -> Tensor:
    """Return a picture in the image's own values; where nothing changed the image is as it was, to the bit."""
    low, high = value_range
    return torch.where(torch.from_numpy(changed == picture), image, torch.from_numpy((low + (high - low) * changed).astype(np.float32)))


def _energy(changed: NDArray[Any], picture: NDArray[Any]) -> float:
    return float(np.square(changed - picture, dtype=np.float64).sum())


def _everywhere(
    picture: NDArray[Any], changed: NDArray[Any], valid: NDArray[np.bool_], rng: np.random.Generator, *, smooth: bool
) -> NDArray[Any]:
    """Return a picture with noise on all pixels that are ``valid``: white, or smooth where the artefact is a mark or white noise itself."""
    white = rng.normal(0, 1, picture.shape)
    noise = gaussian_filter(white, 1.5) if smooth else white
    wanted = _energy(changed, picture)
    deviation = np.sqrt(wanted / max(1, int(valid.sum())))
    return _scaled(np.clip(picture + valid * noise * deviation / noise.std(), 0, 1).astype(picture.dtype), picture, wanted)


def _scaled(changed: NDArray[Any], picture: NDArray[Any], wanted: float) -> NDArray[Any]:
    """Return a change weakened to an energy where it has more; what is cut at the brightest cannot be strengthened."""
    share = np.sqrt(wanted / max(_energy(changed, picture), 1e-12))
    weakened: NDArray[Any] = picture + min(1.0, float(share)) * (changed - picture)
    return weakened
