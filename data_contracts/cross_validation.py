"""A cross-validation: every patient answered for by networks that never saw them, pooled, with the spread over the folds."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from data_contracts.record import Estimate, Finite, FrozenModel, Sha256, VersionedRecord


class FoldCases(FrozenModel):
    """Who is in a fold.

    Attributes:
        number: of the fold, from 0.
        n: patients.
        cases: cases.
        cohort_digest: of the cohort that the fold's networks were trained and tested on.
    """

    number: int = Field(ge=0)
    n: int = Field(ge=1)
    cases: int = Field(ge=1)
    cohort_digest: Sha256


class PooledArm(FrozenModel):
    """One arm over all folds.

    Attributes:
        role: teacher or student.
        figures: of the out-of-fold answers of all patients together, seeds and patients resampled.
        per_fold: the same figure within each fold, mean over seeds; None where it is undefined there.
        spread: standard deviation of the figure over the folds.
    """

    role: str
    figures: dict[str, Estimate]
    per_fold: dict[str, tuple[Finite | None, ...]]
    spread: dict[str, Finite]


class EnsembleScore(VersionedRecord):
    """The teachers of all folds asked together about patients that none of them saw: their probabilities are averaged.

    Attributes:
        teachers: weights of each.
        cases: that were asked about.
        n: their patients.
        figures: of the mean of the probabilities.
        singles: the same figure of each teacher alone, in the order of ``teachers``.
        gain: figure of the ensemble less the mean of the singles, paired.
    """

    SCHEMA: ClassVar[str] = "ensemble_score/1"
    teachers: tuple[Sha256, ...] = Field(min_length=2)
    cases: int = Field(ge=1)
    n: int = Field(ge=1)
    figures: dict[str, Estimate]
    singles: dict[str, tuple[Finite, ...]]
    gain: dict[str, Estimate]


class PooledDifference(FrozenModel):
    """A student arm less another arm over the out-of-fold answers of all patients, on the same patients and seeds.

    Attributes:
        arm: the student.
        baseline: what it is compared with: the teacher, or the student alone.
        figures: the arm's less the baseline's, paired.
        gap_closure: share of the way from the student alone to the teacher that the arm goes, by figure; None where the teacher is hardly better.
            Only against the student alone; left out of the record elsewhere.
        interval: how intervals were made.
    """

    arm: str
    baseline: str
    figures: dict[str, Estimate]
    gap_closure: dict[str, Estimate | None] = Field(default_factory=dict, exclude_if=lambda shares: not shares)
    interval: str


class CrossValidation(VersionedRecord):
    """The scorecard of a cross-validation.

    Attributes:
        recipe: name of the recipe.
        recipe_digest: of the recipe as it was given, without folds.
        folded_by: ``column NAME`` of the table, or ``drawn, patients kept together, classes balanced``.
        folds: who is in each.
        arms: teacher first.
        ensemble: of the teachers on the held-out patients; None where none were held out.
        interval: how intervals of the arms were made.
        differences: of each student arm from the teacher and from the student alone; left out of the record where there are none.
    """

    SCHEMA: ClassVar[str] = "cross_validation/1"
    recipe: str
    recipe_digest: Sha256
    folded_by: str
    folds: tuple[FoldCases, ...] = Field(min_length=2)
    arms: dict[str, PooledArm]
    ensemble: EnsembleScore | None = None
    interval: str = "95 % percentile bootstrap of the pooled out-of-fold answers, 1000 resamples, seeds then patients"
    differences: tuple[PooledDifference, ...] = Field(default=(), exclude_if=lambda differences: not differences)
