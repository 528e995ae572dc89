"""How one network is fitted: what is built, which terms are minimised, and how the loop runs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from data_contracts.record import Finite, FrozenModel
from data_contracts.task import Option


class Network(FrozenModel):
    """A network that is wished for.

    Attributes:
        builder: name of the network in the catalogue (``medkd list networks``).
        options: its options, for example ``channels``; checked against the builder's signature before any compute.
    """

    builder: str
    options: dict[str, Option] = Field(default_factory=dict)


class Schedule(FrozenModel):
    """How a number changes over training.

    Attributes:
        kind: ``constant`` stays at ``first``; ``linear`` and ``cosine`` go straight, or along half a cosine; ``exponential`` decays exponentially,
            by a half in every fifth of the way: most of it early, while what was cut away heals; ``stop`` falls to ``last`` at ``begin``
            (early-stopped distillation, Cho and Hariharan 2019).
        first: value until ``begin``.
        last: value from ``end`` on.
        begin: share of training at which the change begins.
        end: share of training at which it is over.
    """

    kind: Literal["constant", "linear", "cosine", "exponential", "stop"]
    first: Finite = 1.0
    last: Finite = 0.0
    begin: Finite = Field(default=0.0, ge=0, le=1)
    end: Finite = Field(default=1.0, ge=0, le=1)

    def model_post_init(self, context: Any) -> None:
        """Refuse a way that ends before it begins."""
        if self.end < self.begin:
            raise ValueError(f"expected a schedule that ends after it begins, got begin {self.begin} and end {self.end}")


class LearnedTemperature(FrozenModel):
    """A temperature that is learnt against the student: it rises in difficulty by gradient reversal (CTKD, Li et al. 2023, 2211.16231).

    Attributes:
        kind: ``learned``.
        first: temperature at the beginning.
        low: temperature that it stays above.
        high: temperature that it stays below.
        strength: factor of the reversed gradient, which it reaches along half a cosine.
    """

    kind: Literal["learned"]
    first: Finite = Field(default=4.0, gt=0)
    low: Finite = Field(default=1.0, gt=0)
    high: Finite = Field(default=10.0, gt=0)
    strength: Finite = Field(default=1.0, gt=0)

    def model_post_init(self, context: Any) -> None:
        """Refuse a first temperature that is out of reach."""
        if not self.low < self.first < self.high:
            raise ValueError(f"expected a first temperature between {self.low} and {self.high}, got {self.first}")


FeatureLayers = Literal["each", "cross"] | tuple[tuple[str, str], ...]


class LossTerm(FrozenModel):
    """One weighted term of an objective.

    Attributes:
        loss: name of the loss in the catalogue (``medkd list losses``).
        weight: factor of the loss.
        options: its options; checked against the loss's signature before any compute.
        feature_layers: pairs of layers, the student's and the teacher's, that a term over features compares (its mean over the pairs): ``each`` takes
            every named layer of the student with the teacher's of the nearest grid, ``cross`` with every layer of the teacher that is no
            deeper (Chen et al. 2021, 2104.09044); None takes those of the loss's options.
        schedule: how the weight changes over training; None keeps it.
        temperature: a temperature that changes over training, or is learnt; it replaces the option of that name.
        every: the term is computed on one of so many steps, and counts that many times there.
        head: the head of the network that the term is about, ``segmentation`` or ``classification``, where a network has both; None, left out of
            the record, is its only or its dense one.
    """

    loss: str
    weight: Finite = Field(default=1.0, ge=0)
    options: dict[str, Option] = Field(default_factory=dict)
    feature_layers: FeatureLayers | None = None
    schedule: Schedule | None = None
    temperature: Annotated[Schedule | LearnedTemperature, Field(discriminator="kind")] | None = None
    every: int = Field(default=1, ge=1)
    head: Literal["segmentation", "classification"] | None = Field(default=None, exclude_if=lambda head: head is None)


class StrongAugmentation(FrozenModel):
    """How much harder the student's image is than the one that the teacher is asked about (its place stays: nothing moves).

    Attributes:
        noise: largest deviation of the noise, in units of the network's input.
        blur: largest deviation of the blur, in voxels.
        gamma: largest exponent of the intensities; as often its inverse.
        hidden: boxes of a quarter of each axis that get the image's mean.
    """

    noise: Finite = Field(default=0.0, ge=0)
    blur: Finite = Field(default=0.0, ge=0)
    gamma: Finite = Field(default=1.0, ge=1)
    hidden: int = Field(default=0, ge=0)


class TrainingConfig(FrozenModel):
    """How a network is fitted.

    Attributes:
        epochs: times that the training cases are gone through.
        batch_size: cases of one step.
        learning_rate: largest rate of AdamW: warmed up over the first tenth of training, then along half a cosine to a hundredth.
        weight_decay: of AdamW.
        augment: how training cases are varied: mirrored (``flip``), also turned, scaled, shifted and changed in contrast (``affine``), or not.
        samples_per_epoch: cases that are drawn for an epoch (with replacement when there are fewer), so that arms with different amounts of
            data make the same number of steps; None takes each case once.
        foreground_share: share of the patches of a volume that are centred on a labelled voxel (volumes larger than a patch; Isensee et al.
            2021, nnU-Net).
        precision: ``bf16`` runs forward passes under bfloat16 autocast (losses stay float32); ``auto`` does so where the device computes
            bfloat16 itself and takes ``fp32`` elsewhere (``medkd/precision.py``). What was used is in the checkpoint.
        accumulate: batches whose gradients are averaged before a step.
        clip_norm: largest norm of the gradient; None lets it be.
        ema: decay of averaged weights, which are what is kept then; None keeps the last weights.
        patience: epochs without a better validation figure after which training stops; the best epoch's weights are kept.
        deterministic: refuse algorithms whose result depends on chance (on a GPU; on a CPU there are none).
        mix: images (and what is known of them) are blended in pairs (``mixup``, Zhang et al. 2018) or get a box of another (``cutmix``, Yun
            et al. 2019); a live teacher sees the mixed image, stored maps are mixed with it.
        mix_alpha: both parameters of the Beta distribution that the share is drawn from.
        strong: a harder image for the student than for the teacher.
        processes: that share each batch (``torchrun``), a GPU each where there are some; statistics of batch normalisation are then those of a
            process's part. Left out of the record where it is 1: recipes of before keep their digests.
    """

    epochs: int = Field(ge=1)
    batch_size: int = Field(default=32, ge=2)
    learning_rate: Finite = Field(default=2e-3, gt=0)
    weight_decay: Finite = Field(default=1e-4, ge=0)
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    augment: Literal["none", "flip", "affine"] = "flip"
    samples_per_epoch: int | None = Field(default=None, ge=2)
    foreground_share: Finite = Field(default=0.33, ge=0, le=1)
    accumulate: int = Field(default=1, ge=1)
    clip_norm: Finite | None = Field(default=None, gt=0)
    ema: Finite | None = Field(default=None, gt=0, lt=1)
    patience: int | None = Field(default=None, ge=1)
    deterministic: bool = False
    mix: Literal["none", "mixup", "cutmix"] = "none"
    mix_alpha: Finite = Field(default=0.4, gt=0)
    strong: StrongAugmentation | None = None
    processes: int = Field(default=1, ge=1, le=64, exclude_if=lambda count: count == 1)

    def model_post_init(self, context: Any) -> None:
        """Refuse a batch that processes cannot share evenly."""
        if self.batch_size % self.processes:
            raise ValueError(f"expected a batch_size that {self.processes} processes can share evenly, got {self.batch_size}")
