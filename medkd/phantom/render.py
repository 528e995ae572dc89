"""The phantom: an abdomen-like body with one lesion, rendered by one function with two outlets (tensors, DICOM).

A case is a set of drawn parameters; :func:`render_slices` is a pure function of them. Benign lesions are smooth ellipsoids,
malignant ones carry seven angular lobes and inner texture; area, contrast and place do not tell the class. An L-shaped
corner marker can be given a rate per class: the planted shortcut. With and without the marker everything else, noise
included, stays the same, so that its causal effect on a network can be read off. For segmentation the shortcut is a cue: a ring
or a pair of caliper crosses round the lesion, elsewhere, or not there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from itertools import chain
from typing import Literal

import torch
from torch import Tensor

from medkd.seeds import derive_seed

SIZE_PX = 64
SPACING_MM = 3.0
SLICE_SPACING_MM = 4.0
SLICES = 12
CLASSES = ("benign", "malignant")
AIR_HU, MARKER_HU = -1000.0, 400.0
#: A value of 1 in the drawing below is this many HU above -160 (the soft-tissue window's width).
HU_PER_UNIT, HU_OFFSET = 400.0, -160.0
LOBES = 7
CONTRAST = (0.15, 0.45)
CUES = ("none", "ring", "caliper")
CUE_HU = 300.0
#: A misplaced cue is at least this far from the lesion's centre, pixels.
CUE_AWAY_PX = 18.0
_CHUNK = 64


@dataclass(frozen=True)
class PhantomCases:
    """Parameters of n cases; every field has n as its first dimension. Lengths are in pixels, ``lesion_depth`` in mm.

    Make them with :func:`draw_cases`; select with ``cases[indices]``.
    """

    label: Tensor  # int64: index into CLASSES
    marker: Tensor  # bool
    marker_offset: Tensor  # [n, 2] int64
    noise_seed: Tensor  # int64
    key_slice: Tensor  # int64: the slice on which the lesion's centre lies
    body: Tensor  # [n, 2] half axes (row, column)
    organs: Tensor  # [n, 3, 6]: row, column, half axes, angle, value
    vessels: Tensor  # [n, 2, 4]: row, column, radius, value
    balls: Tensor  # [n, 2, 5]: row, column, depth mm, sigma, contrast
    lesion: Tensor  # [n, 6]: row, column, radius, aspect, angle, contrast
    lesion_depth: Tensor  # [n] half extent along the slice axis, mm
    lobes: Tensor  # [n, LOBES, 3]: angle, amplitude, kappa (amplitude 0 for benign)
    roughness: Tensor  # [n, 2]: amplitude and phase of the third harmonic
    texture: Tensor  # [n] amplitude of the inner texture
    noise: Tensor  # [n] standard deviation of the white and of the smooth noise
    cue_kind: Tensor  # int64: index into CUES
    cue: Tensor  # [n, 3]: row, column, radius
    more: Tensor  # [n, 3, 6]: further lesions, smooth ones, as ``lesion``; a radius of 0 is none

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, index: Tensor | slice | list[int]) -> PhantomCases:
        return replace(self, **{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def with_marker(self, present: bool) -> PhantomCases:
        """Return the same cases, all with or all without the marker."""
        return replace(self, marker=torch.full_like(self.marker, present))


def draw_cases(
    n: int, seed: int, *, marker_rates: tuple[float, float] = (0.5, 0.5), difficulty: float = 1.0, contrast: tuple[float, float] = CONTRAST
) -> PhantomCases:
    """Draw the parameters of ``n`` cases; case i depends on (seed, i) alone, not on n.

    Args:
        n: number of cases, classes alternate so that both halves are equal.
        seed: seed of the cohort.
        marker_rates: probability of the corner marker for (benign, malignant).
        difficulty: 1 is the reference; above 1 lobes get shorter and noise stronger.
        contrast: bounds of the lesion's contrast, as a share of the soft-tissue window.
    """
    rows = [_draw_case(seed, index, marker_rates, difficulty) for index in range(n)]
    cases = PhantomCases(**{f.name: torch.stack([row[f.name] for row in rows]) for f in fields(PhantomCases)})
    share = (cases.lesion[:, 5] - CONTRAST[0]) / (CONTRAST[1] - CONTRAST[0])
    cases.lesion[:, 5] = contrast[0] + share * (contrast[1] - contrast[0])
    return cases


def _draw_case(seed: int, index: int, marker_rates: tuple[float, float], difficulty: float) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(derive_seed("phantom", seed, index))

    def between(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=generator)

    label = index % 2
    centre = (SIZE_PX - 1) / 2
    place = centre + between(-13.0, 13.0, 2)
    angles = 2 * math.pi * (torch.arange(LOBES) + between(-0.25, 0.25, LOBES)) / LOBES + between(0, 2 * math.pi, 1)
    amplitude = between(0.5, 1.2, LOBES) / difficulty * float(label)
    organs = torch.stack(
        [
            centre + between(-16, 16, 3),
            centre + between(-18, 18, 3),
            between(5, 10, 3),
            between(4, 8, 3),
            between(0, math.pi, 3),
            between(0.36, 0.56, 3),
        ],
        dim=-1,
    )
    vessels = torch.stack([centre + between(-14, 14, 2), centre + between(-14, 14, 2), between(1.2, 2.2, 2), between(0.65, 0.8, 2)], dim=-1)
    balls = torch.stack(
        [centre + between(-15, 15, 2), centre + between(-17, 17, 2), between(-8, 8, 2), between(2.2, 3.6, 2), between(0.2, 0.45, 2)], dim=-1
    )
    return {
        "label": torch.tensor(label),
        "marker": torch.rand((), generator=generator) < marker_rates[label],
        "marker_offset": torch.randint(0, 3, (2,), generator=generator),
        "noise_seed": torch.randint(0, 2**48, (), generator=generator),
        "key_slice": torch.randint(4, SLICES - 4, (), generator=generator),
        "body": torch.cat([between(24, 27, 1), between(26, 29, 1)]),
        "organs": organs,
        "vessels": vessels,
        "balls": balls,
        "lesion": torch.cat([place, between(5.0, 8.0, 1), between(0.75, 1.0, 1), between(0, math.pi, 1), between(*CONTRAST, 1)]),
        "lesion_depth": between(10.0, 16.0),
        "lobes": torch.stack([angles, amplitude, between(14.0, 30.0, LOBES)], dim=-1),
        "roughness": torch.cat([between(0.0, 0.06, 1), between(0, 2 * math.pi, 1)]),
        "texture": between(0.0, 0.12) * float(label),
        "noise": torch.tensor(0.05 * difficulty),
        "cue_kind": torch.tensor(0),
        "cue": torch.zeros(3),
        "more": torch.zeros(3, 6),
    }


def render_slices(cases: PhantomCases, slice_index: Tensor) -> tuple[Tensor, Tensor]:
    """Render one slice of each case.

    Args:
        cases: n cases.
        slice_index: int64 [n], the slice wanted of each; ``cases.key_slice`` gives the lesion's centre.

    Returns:
        HU as int16 [n, row, column] and the lesion mask as uint8 [n, row, column].
    """
    parts = [_render_chunk(cases[begin : begin + _CHUNK], slice_index[begin : begin + _CHUNK]) for begin in range(0, len(cases), _CHUNK)]
    images, masks = zip(*parts, strict=True)
    return torch.cat(images), torch.cat(masks)


def render_key_slices(cases: PhantomCases) -> tuple[Tensor, Tensor]:
    """Render of each case the slice through the lesion's centre: the direct two-dimensional twin of the studies."""
    return render_slices(cases, cases.key_slice)


def render_volume(cases: PhantomCases, index: int) -> tuple[Tensor, Tensor]:
    """Render all slices of one case: HU int16 and mask uint8, both [slice, row, column]."""
    repeated = cases[[index] * SLICES]
    return render_slices(repeated, torch.arange(SLICES))


def _render_chunk(cases: PhantomCases, slice_index: Tensor) -> tuple[Tensor, Tensor]:
    n = len(cases)
    row, column = torch.meshgrid(torch.arange(SIZE_PX, dtype=torch.float32), torch.arange(SIZE_PX, dtype=torch.float32), indexing="ij")
    depth = (slice_index - cases.key_slice).to(torch.float32) * SLICE_SPACING_MM
    centre = (SIZE_PX - 1) / 2
    radial = ((row - centre) / _per_case(cases.body[:, 0])) ** 2 + ((column - centre) / _per_case(cases.body[:, 1])) ** 2
    inside = radial < 1.0
    value = torch.where(radial < 0.84, 0.45, 0.15).expand(n, -1, -1).clone()
    for organ in cases.organs.unbind(1):
        value = torch.where(_ellipse(row, column, organ) & (radial < 0.8), _per_case(organ[:, 5]), value)
    for vessel in cases.vessels.unbind(1):
        drift = 0.05 * depth
        near = (row - _per_case(vessel[:, 0] + drift)) ** 2 + (column - _per_case(vessel[:, 1] - drift)) ** 2
        value = torch.where(near < _per_case(vessel[:, 2]) ** 2, _per_case(vessel[:, 3]), value)
    for ball in cases.balls.unbind(1):
        away = (
            (row - _per_case(ball[:, 0])) ** 2 + (column - _per_case(ball[:, 1])) ** 2 + _per_case(((depth - ball[:, 2]) / SPACING_MM) ** 2)
        )
        value = value + _per_case(ball[:, 4]) * torch.exp(-away / (2 * _per_case(ball[:, 3]) ** 2))
    white, smooth, texture = _noise(cases, slice_index)
    edge, mask = _lesion(cases, row, column, depth)
    value = value + edge * (_per_case(cases.lesion[:, 5]) + _per_case(cases.texture) * texture)
    for further in cases.more.unbind(1) if bool(cases.more.any()) else ():
        edge, inner = _lesion(_smooth(cases, further), row, column, depth)
        value, mask = value + edge * _per_case(further[:, 5]), mask | inner
    value = value + _per_case(cases.noise) * (white + smooth)
    hu = torch.where(inside, HU_OFFSET + HU_PER_UNIT * value, AIR_HU + HU_PER_UNIT * 0.05 * white)
    hu = torch.where(_marker(cases), MARKER_HU, hu)
    hu = torch.where(_cue(cases, row, column), CUE_HU, hu)
    return hu.round().clamp(-1024, 3071).to(torch.int16), (mask & inside).to(torch.uint8)


def _per_case(values: Tensor) -> Tensor:
    return values[:, None, None]


def _ellipse(row: Tensor, column: Tensor, shape: Tensor) -> Tensor:
    r, c = row - _per_case(shape[:, 0]), column - _per_case(shape[:, 1])
    cos, sin = _per_case(shape[:, 4].cos()), _per_case(shape[:, 4].sin())
    return ((cos * r + sin * c) / _per_case(shape[:, 2])) ** 2 + ((cos * c - sin * r) / _per_case(shape[:, 3])) ** 2 < 1.0


def _outline(angle: Tensor, cases: PhantomCases) -> Tensor:
    """Return the lesion's relative radius at ``angle`` [n, ...], lobes as von Mises bumps, before equalising the area."""
    tail = (1,) * (angle.ndim - 1)
    outline = 1 + cases.roughness[:, 0].view(-1, *tail) * torch.cos(3 * angle + cases.roughness[:, 1].view(-1, *tail))
    for lobe in cases.lobes.unbind(1):
        centre, amplitude, kappa = (lobe[:, k].view(-1, *tail) for k in range(3))
        outline = outline + amplitude * torch.exp(kappa * (torch.cos(angle - centre) - 1))
    return outline


def _lesion(cases: PhantomCases, row: Tensor, column: Tensor, depth: Tensor) -> tuple[Tensor, Tensor]:
    """Return the soft-edged lesion in [0, 1] and its mask; both classes have the same area at the same drawn radius."""
    place = cases.lesion
    r, c = row - _per_case(place[:, 0]), column - _per_case(place[:, 1])
    cos, sin = _per_case(place[:, 4].cos()), _per_case(place[:, 4].sin())
    along, across = cos * r + sin * c, (cos * c - sin * r) / _per_case(place[:, 3])
    turn = torch.linspace(0, 2 * math.pi, 181)[:-1].expand(len(cases), -1)
    equal_area = _outline(turn, cases).square().mean(dim=1).rsqrt()
    fade = (1 - (depth / cases.lesion_depth) ** 2).clamp_min(0).sqrt()
    radius = _per_case(place[:, 2] * equal_area * fade) * _outline(torch.atan2(across, along), cases)
    gap = radius - torch.hypot(along, across)
    present = _per_case(fade > 0)
    return torch.sigmoid(2.5 * gap) * present, (gap > 0) & present


def _smooth(cases: PhantomCases, lesion: Tensor) -> PhantomCases:
    """Return the cases with another lesion in the place of the first, without lobes."""
    return replace(cases, lesion=lesion, lobes=torch.zeros_like(cases.lobes))


def _noise(cases: PhantomCases, slice_index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """White, smooth and texture noise [n, row, column], unit variance, a function of (case, slice) alone."""
    fields_ = torch.empty(len(cases), 3, SIZE_PX, SIZE_PX)
    generator = torch.Generator()
    for place, (seed, k) in enumerate(zip(cases.noise_seed.tolist(), slice_index.tolist(), strict=True)):
        generator.manual_seed(seed * SLICES + k)
        torch.randn((3, SIZE_PX, SIZE_PX), generator=generator, out=fields_[place])
    smooth = _blur(fields_[:, 1:2], sigma=2.5)[:, 0]
    texture = _blur(fields_[:, 2:3], sigma=1.0)[:, 0]
    return fields_[:, 0], smooth, texture


def _blur(field: Tensor, sigma: float) -> Tensor:
    """Blur with a Gaussian and bring white noise of unit variance back to unit variance (analytic factor)."""
    reach = math.ceil(3 * sigma)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = kernel / kernel.square().sum().sqrt()
    padded = torch.nn.functional.pad(field, (reach, reach, reach, reach), mode="circular")
    return torch.nn.functional.conv2d(torch.nn.functional.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))


def _marker(cases: PhantomCases) -> Tensor:
    """The L in the upper left corner: two strokes of 2 x 7 pixels, moved by up to two pixels."""
    row = torch.arange(SIZE_PX).view(1, -1, 1) - _per_case(cases.marker_offset[:, 0]) - 2
    column = torch.arange(SIZE_PX).view(1, 1, -1) - _per_case(cases.marker_offset[:, 1]) - 2
    upright = (row >= 0) & (row < 7) & (column >= 0) & (column < 2)
    foot = (row >= 5) & (row < 7) & (column >= 0) & (column < 7)
    return (upright | foot) & _per_case(cases.marker)


def place_cues(
    cases: PhantomCases, kind: Literal["none", "ring", "caliper"], where: Literal["beside", "elsewhere", "balanced"], seed: int
) -> PhantomCases:
    """Return the same cases with a cue round the lesion, away from it, or (balanced) either or none with equal chance.

    A case's cue depends on (seed, its row) alone; everything else about the case stays as it was.
    """
    rows = []
    for row in range(len(cases)):
        generator = torch.Generator().manual_seed(derive_seed("cue", seed, row))
        lesion = cases.lesion[row]
        radius = 1.5 * lesion[2] + 2.0
        candidates = (SIZE_PX - 1) / 2 + 32.0 * (torch.rand(64, 2, generator=generator) - 0.5)
        away = (candidates - lesion[:2]).norm(dim=1)
        far = (away >= CUE_AWAY_PX).nonzero()
        other = candidates[far[0, 0] if len(far) else away.argmax()]
        chosen = where if where != "balanced" else ("beside", "elsewhere", "none")[int(torch.randint(3, (), generator=generator))]
        place = lesion[:2] if chosen == "beside" else other
        rows.append((0 if chosen == "none" else CUES.index(kind), torch.cat([place, radius[None]])))
    return replace(cases, cue_kind=torch.tensor([kind for kind, _ in rows]), cue=torch.stack([place for _, place in rows]))


def cue_regions(cases: PhantomCases) -> Tensor:
    """Return uint8 [n, row, column]: the disc that a case's cue encloses, empty where there is none."""
    row, column = torch.meshgrid(torch.arange(SIZE_PX, dtype=torch.float32), torch.arange(SIZE_PX, dtype=torch.float32), indexing="ij")
    inside = torch.hypot(row - _per_case(cases.cue[:, 0]), column - _per_case(cases.cue[:, 1])) <= _per_case(cases.cue[:, 2])
    return (inside & _per_case(cases.cue_kind > 0)).to(torch.uint8)


def _cue(cases: PhantomCases, row: Tensor, column: Tensor) -> Tensor:
    """A ring of about 1.5 pixels, or two crosses of 5 x 5 pixels at both ends of the lesion's axis."""
    r, c = row - _per_case(cases.cue[:, 0]), column - _per_case(cases.cue[:, 1])
    radius = _per_case(cases.cue[:, 2])
    ring = (torch.hypot(r, c) - radius).abs() < 0.75
    angle = _per_case(cases.lesion[:, 4])
    crosses = torch.zeros_like(ring)
    for sign in (1.0, -1.0):
        across, down = (r - sign * radius * angle.cos()).abs(), (c - sign * radius * angle.sin()).abs()
        crosses |= (torch.minimum(across, down) < 0.6) & (torch.maximum(across, down) < 2.6)
    kind = _per_case(cases.cue_kind)
    return ((kind == CUES.index("ring")) & ring) | ((kind == CUES.index("caliper")) & crosses)


def study_cases(
    studies: int, seed: int, *, marker_rates: tuple[float, float] = (0.5, 0.5), difficulty: float = 1.0
) -> tuple[PhantomCases, tuple[int, ...]]:
    """Draw the cases of a DICOM cohort and the patient each belongs to: every fourth patient has two studies.

    A patient keeps one class over all studies (the class is per patient).
    """
    patients: list[int] = list(chain.from_iterable([p, p] if p % 4 == 0 else [p] for p in range(studies)))[:studies]
    cases = draw_cases(2 * studies, seed, marker_rates=marker_rates, difficulty=difficulty)
    wanted = [2 * study + patient % 2 for study, patient in enumerate(patients)]
    return cases[wanted], tuple(patients)
