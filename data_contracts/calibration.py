"""What a model's probabilities are worth: how they are calibrated, how well that holds, and how many lesions a threshold misses."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from data_contracts.record import Estimate, Finite, FrozenModel, Ref, Sha256, VersionedRecord


class ReliabilityBin(FrozenModel):
    """The predictions whose confidence falls into one bin.

    Attributes:
        confidence: mean probability of the predicted class.
        accuracy: share of them that are right.
        count: how many fall into the bin (cases, or sampled voxels of a segmentation).
    """

    confidence: Finite = Field(ge=0, le=1)
    accuracy: Finite = Field(ge=0, le=1)
    count: int = Field(ge=1)


class ConformalBound(FrozenModel):
    """A threshold under which, in expectation, a patient's share of missed lesions stays below ``alpha`` (conformal risk control).

    The threshold is of the network's own probability of any class but the first, *before* calibration: scores that do not depend on the
    patients it is chosen on are what the bound asks for. It holds on average over patients exchangeable with the validation patients.

    Attributes:
        alpha: bound of the expected share of missed lesions (or positive cases) of a patient who has any.
        unit: what may be missed: a ``lesion`` (a connected component; found when one of its voxels reaches the threshold) or a ``positive``
            (a case that is not of the first class; found when its probability reaches the threshold).
        patients: validation patients with at least one, the exchangeable units.
        units: lesions, or positive cases, of these patients.
        threshold: the highest that holds the bound; absent where there is none.
        missed: mean share that these patients miss at the threshold, without the correction for their number.
        false_positives: share of the sampled lesion-free voxels, or of the cases of the first class, that reach the threshold.
        reason: why there is no threshold; empty where there is one.
    """

    alpha: Finite = Field(gt=0, lt=1)
    unit: Literal["lesion", "positive"]
    patients: int = Field(ge=0)
    units: int = Field(ge=0)
    threshold: Finite | None = Field(default=None, ge=0, le=1)
    missed: Finite | None = Field(default=None, ge=0, le=1)
    false_positives: Finite | None = Field(default=None, ge=0, le=1)
    reason: str = ""


class CalibrationSummary(FrozenModel):
    """What a model card says of a calibration; the fields are those of :class:`Calibration`."""

    method: Literal["none", "temperature", "vector"]
    temperature: Finite
    reason: str
    subset: str
    patients: int
    ece_before: Estimate | None
    ece_after: Estimate | None
    bound: ConformalBound


class Calibration(VersionedRecord):
    """How the logits of one network become calibrated probabilities: ``softmax(scales · logits + biases)``.

    Attributes:
        weights_digest: of the network.
        cohort_digest: sha256 of the cohort that it was fitted on.
        subset: subset of the run that it was fitted on; never a test subset.
        method: ``temperature`` (one temperature for all classes), ``vector`` (scale and bias per class), or ``none``, where neither lowers
            the loss on patients held out of the fit, or nothing can be fitted.
        temperature: what logits are divided by; 1 for other methods.
        scales: factor of each class's logit, in the order of the task's classes.
        biases: what is then added to it.
        reason: why nothing was fitted, or why the temperature stands at a bound; empty otherwise.
        patients: validation patients.
        cases: validation cases.
        samples: what was fitted on: cases, or voxels sampled alike from each case.
        nll_before: mean negative log likelihood of the samples without calibration; absent where nothing can be measured.
        nll_after: with calibration, each patient's by parameters fitted on other patients.
        ece_before: expected calibration error without calibration, 95 % percentile bootstrap over patients.
        ece_after: with calibration, each patient's by parameters fitted on other patients.
        bins_before: reliability of the samples without calibration.
        bins_after: reliability with calibration, held out as above.
        bound: threshold that bounds what is missed.
        picture: reliability diagram before and after; absent where nothing can be measured.
    """

    SCHEMA: ClassVar[str] = "calibration/1"
    weights_digest: Sha256
    cohort_digest: Sha256
    subset: str
    method: Literal["none", "temperature", "vector"]
    temperature: Finite = Field(default=1.0, gt=0)
    scales: tuple[Finite, ...] = Field(min_length=2)
    biases: tuple[Finite, ...] = Field(min_length=2)
    reason: str = ""
    patients: int = Field(ge=0)
    cases: int = Field(ge=0)
    samples: int = Field(ge=0)
    nll_before: Finite | None = None
    nll_after: Finite | None = None
    ece_before: Estimate | None = None
    ece_after: Estimate | None = None
    bins_before: tuple[ReliabilityBin, ...] = ()
    bins_after: tuple[ReliabilityBin, ...] = ()
    bound: ConformalBound
    picture: Ref | None = None

    @model_validator(mode="after")
    def _same_classes(self) -> Calibration:
        if len(self.scales) != len(self.biases):
            raise ValueError(f"expected a scale and a bias for each class, got {len(self.scales)} and {len(self.biases)}")
        return self

    @property
    def calibrates(self) -> bool:
        """True where probabilities differ from the plain softmax."""
        return self.method != "none"

    def summary(self) -> CalibrationSummary:
        """Return what a model card says of it."""
        return CalibrationSummary(**{name: getattr(self, name) for name in CalibrationSummary.model_fields})
