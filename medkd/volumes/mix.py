"""Batches made harder: images blended in pairs with all that is known of them, and images that only the student has to cope with."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from data_contracts import StrongAugmentation, TrainingConfig
from medkd.trace import TEACHER_IMAGE, TEACHER_PART, Sample


def mix(sample: Sample, config: TrainingConfig, generator: torch.Generator) -> Sample:
    """Blend each case with another of the batch (``mixup``), or paste a box of another into it (``cutmix``).

    The teacher's stored answers are blended as probabilities, its features and maps as they are; a live teacher sees the mixed image.

    Args:
        sample: batch after its view was drawn.
        config: ``mix`` and ``mix_alpha``.
        generator: the only source of randomness (CPU).
    """
    if config.mix == "none" or len(sample.image) < 2:
        return sample
    n = len(sample.image)
    # A roll by 1 or more: nobody is blended with itself.
    partners = torch.roll(torch.arange(n), int(torch.randint(1, n, (), generator=generator)))
    share = _beta(config.mix_alpha, generator)
    return _blend(sample, partners, share) if config.mix == "mixup" else _paste(sample, partners, share, generator)


def _beta(alpha: float, generator: torch.Generator) -> float:
    """Draw from Beta(alpha, alpha) with the generator given: the ratio of two gamma draws."""
    # torch.distributions draws from the global generator only, on which an interrupted epoch would depend.
    gammas = torch._standard_gamma(torch.full((2,), alpha, dtype=torch.float64), generator=generator)
    return float(gammas[0] / gammas.sum().clamp_min(1e-12))


def _blend(sample: Sample, partners: Tensor, share: float) -> Sample:
    """Return share * own + (1 - share) * partner's."""

    def both(values: Tensor) -> Tensor:
        return share * values + (1 - share) * values[partners.to(values.device)]

    valid = sample.valid_mask
    other = None if sample.labels is None else sample.labels[partners.to(sample.labels.device)]
    shares = torch.full((len(sample.image),), share, device=sample.image.device)
    return replace(
        sample,
        inputs={name: both(value) for name, value in sample.inputs.items()},
        valid_mask=None if valid is None else valid & valid[partners.to(valid.device)],
        teacher={
            key: _blended_logits(value, partners, shares) if key.rpartition(TEACHER_PART)[2] == "logits" else both(value)
            for key, value in sample.teacher.items()
        },
        other_labels=other,
        shares=shares,
    )


def _blended_logits(logits: Tensor, partners: Tensor, shares: Tensor) -> Tensor:
    """Return log(share * p + (1 - share) * p of the partner): the mean of answers is a mean of probabilities."""
    log_p = functional.log_softmax(logits.float(), dim=1)
    own = shares.to(log_p).view(-1, *(1,) * (log_p.ndim - 1))
    return torch.logaddexp(log_p + own.log(), log_p[partners.to(log_p.device)] + (1 - own).clamp_min(1e-12).log())


def _paste(sample: Sample, partners: Tensor, share: float, generator: torch.Generator) -> Sample:
    """Return each case with one box of its partner, of 1 - share of the volume, at the same place in all of the batch."""
    space = sample.image.shape[2:]
    # A box of this side along each axis has 1 - share of the volume.
    side = (1 - share) ** (1 / len(space))
    middle = torch.rand(len(space), generator=generator)
    bounds = [(max(0.0, float(m) - side / 2), min(1.0, float(m) + side / 2)) for m in middle]
    image = _pasted(sample.image, partners, bounds, first=2)
    box = [round(high * e) - round(low * e) for (low, high), e in zip(bounds, space, strict=True)]
    # Counted, not drawn: at the edge a box is cut, and its voxels are whole.
    own = 1 - float(torch.tensor(box).prod()) / float(torch.tensor(space).prod())
    shares = torch.full((len(image),), own, device=image.device)

    def on_grid(values: Tensor | None) -> Tensor | None:
        return None if values is None or values.ndim != len(space) + 1 else _pasted(values, partners, bounds, first=1)

    whole = sample.labels is not None and sample.labels.ndim == 1
    teacher = {
        key: _pasted(value, partners, bounds, first=2) if value.ndim == len(space) + 2 else _blended_logits(value, partners, shares)
        for key, value in sample.teacher.items()
    }
    return replace(
        sample,
        inputs={name: _pasted(value, partners, bounds, first=2) for name, value in sample.inputs.items()},
        labels=sample.labels if whole else on_grid(sample.labels),
        masks=on_grid(sample.masks),
        valid_mask=on_grid(sample.valid_mask),
        voxel_weights=on_grid(sample.voxel_weights),
        forbidden=on_grid(sample.forbidden),
        teacher=teacher,
        other_labels=sample.labels[partners.to(sample.labels.device)] if whole and sample.labels is not None else None,
        shares=shares if whole else None,
    )


def _pasted(values: Tensor, partners: Tensor, bounds: list[tuple[float, float]], *, first: int) -> Tensor:
    """Return values with a box, given in shares of each axis from axis ``first`` on, of the partner's."""
    box = tuple(slice(round(low * e), round(high * e)) for (low, high), e in zip(bounds, values.shape[first:], strict=True))
    places = (*(slice(None),) * first, *box)
    result = values.clone()
    result[places] = values[partners.to(values.device)][places]
    return result


def harden(sample: Sample, config: StrongAugmentation | None, generator: torch.Generator) -> Sample:
    """Give the student a harder image than the teacher: noise, blur, another gamma, hidden boxes, drawn per case. Nothing moves.

    The image as it was stays in the sample, as the input that the teacher is asked about.
    """
    if config is None:
        return sample
    easy = sample.image
    n, axes = len(easy), (-1, *(1,) * (easy.ndim - 1))
    draws = torch.rand(n, 3, generator=generator).to(easy.device)
    low, high = easy.flatten(1).amin(1).view(axes), easy.flatten(1).amax(1).view(axes)
    span = (high - low).clamp_min(1e-6)
    exponent = config.gamma ** (2 * draws[:, 0].view(axes) - 1)
    image = low + span * ((easy - low) / span).clamp(0, 1).pow(exponent)
    if config.blur > 0:
        image = torch.stack([_blurred(case, config.blur * float(sigma)) for case, sigma in zip(image, draws[:, 1], strict=True)])
    if config.noise > 0:
        image = image + config.noise * draws[:, 2].view(axes) * torch.randn(easy.shape, generator=generator).to(image)
    for _ in range(config.hidden):
        image = _hide_box(image, generator)
    return replace(sample, inputs={**sample.inputs, "image": image, TEACHER_IMAGE: easy})


def _blurred(case: Tensor, sigma: float) -> Tensor:
    """Return a case [channel, *space] under a Gaussian of ``sigma`` voxels, axis by axis; borders hold their value."""
    if sigma < 0.1:
        return case
    reach = max(1, round(3 * sigma))
    offsets = torch.arange(-reach, reach + 1, device=case.device, dtype=case.dtype)
    # Sampled and normalised: within three deviations a Gaussian holds all but 0.3 % of itself.
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum())[None, None]
    for axis in range(1, case.ndim):
        rows = case.movedim(axis, -1)
        flat = functional.pad(rows.reshape(-1, 1, rows.shape[-1]), (reach, reach), mode="replicate")
        case = functional.conv1d(flat, kernel).reshape(rows.shape).movedim(-1, axis)
    return case


def _hide_box(image: Tensor, generator: torch.Generator) -> Tensor:
    """Return images with one box each, a quarter of each axis, at the image's mean."""
    result = image.clone()
    for row, case in enumerate(image):
        corner = [int(torch.randint(0, max(1, e - e // 4 + 1), (), generator=generator)) for e in case.shape[1:]]
        box = tuple(slice(c, c + max(1, e // 4)) for c, e in zip(corner, case.shape[1:], strict=True))
        # The mean, as where parts are hidden for losses: a black box would be an intensity of its own.
        result[row][(slice(None), *box)] = case.mean()
    return result
