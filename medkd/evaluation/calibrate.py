"""The stage that calibrates a network on validation patients, and bounds what a threshold misses."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

from data_contracts import (
    Calibration,
    Checkpoint,
    CohortSet,
    CohortUse,
    ConformalBound,
    DataError,
    LeakageError,
    Subset,
    Task,
    TaskKind,
    require_kind,
)
from medkd.cohorts.split import TESTS
from medkd.cohorts.tensor_cohort import read_cohort
from medkd.evaluation.ask_validation import ValidationAnswers, ask_validation
from medkd.evaluation.choose_calibration import Chosen, choose_calibration
from medkd.evaluation.conformal import ALPHA
from medkd.evaluation.draw_reliability import draw_reliability
from medkd.evaluation.fit_calibration import losses, unscaled
from medkd.evaluation.reliability import Reliability, reliability_of
from medkd.evaluation.validate import VALIDATIONS
from medkd.models._load import load_network
from medkd.storage.stage import stage
from medkd.storage.store import write_bytes
from medkd.storage.workspace import Workspace

#: Errors of a fit that its record says, and that end no run.
UNFIT = ("CALIBRATION_ONE_CLASS", "CALIBRATION_NOT_FINITE", "VALIDATION_MISSING")


def calibration_subset(cohorts: CohortSet) -> Subset | None:
    """Return the subset that students are calibrated on: validation cases apart from the test cases; None where there are none."""
    test = cohorts.uses.get(Subset.TEST)
    return next((subset for subset in VALIDATIONS if subset in cohorts.uses and cohorts.uses[subset] != test), None)


@stage
def calibrate(workspace: Workspace, recipe: str, cohorts: CohortSet, checkpoint: Checkpoint) -> Calibration:
    """Calibrate a network on the validation patients of its run, and choose the threshold that bounds what it misses.

    Where nothing can be fitted (no labels, or of one class only, too few patients, logits that are not finite) the record says why, and
    probabilities stay as they are.

    Args:
        workspace: where cohorts and weights lie, and the picture goes.
        recipe: name of the recipe, which the picture's name follows from.
        cohorts: of the recipe.
        checkpoint: of the network, and of its task.

    Raises:
        DataError: ``VALIDATION_MISSING`` where no cases are held back.
        LeakageError: ``CALIBRATION_ON_TEST_PATIENTS`` where validation patients are tested too.
    """
    require_kind(checkpoint.task, "the calibration of probabilities")
    subset = calibration_subset(cohorts)
    if subset is None:
        raise DataError("VALIDATION_MISSING", f"expected validation cases to calibrate {recipe}/{checkpoint.arm} on, none are held back")
    _require_apart(cohorts, subset, workspace)
    source = _Source(checkpoint, subset, cohorts.uses[subset].cohort.sha256)
    try:
        answers = ask_validation(load_network(workspace, checkpoint), cohorts, subset, workspace.store, checkpoint.task)
        chosen = choose_calibration(answers.samples)
    except DataError as error:
        if error.code not in UNFIT:
            raise
        return source.unfit(str(error))
    name = f"{recipe}/{checkpoint.arm}-{checkpoint.seed}-{checkpoint.weights_digest[:8]}"
    return source.record(workspace, name, answers, chosen)


def _require_apart(cohorts: CohortSet, subset: Subset, workspace: Workspace) -> None:
    own = _patients_in(cohorts.uses[subset], workspace)
    tested = [_patients_in(cohorts.uses[name], workspace) for name in TESTS if name in cohorts.uses]
    shared = sorted(own & frozenset().union(*tested))
    if shared:
        raise LeakageError("CALIBRATION_ON_TEST_PATIENTS", f"expected validation patients that are not tested, {shared[:5]} are both")


@functools.lru_cache(maxsize=16)
def _patients_in(use: CohortUse, workspace: Workspace) -> frozenset[str]:
    """Return the patients of a part of a cohort: the students of a recipe share their cohorts, and reading one costs more than a fit."""
    return frozenset(case.patient_key for case in read_cohort(use.cohort, workspace.store).part(use.part))


@dataclass(frozen=True)
class _Source:
    """What is calibrated, and on which cases."""

    checkpoint: Checkpoint
    subset: Subset
    cohort_digest: str

    def unfit(self, reason: str) -> Calibration:
        """Return the record of a network that nothing could be fitted for."""
        task = self.checkpoint.task
        scaling = unscaled(len(task.classes))
        unit: Literal["lesion", "positive"] = "positive" if task.kind is TaskKind.CLASSIFICATION else "lesion"
        return Calibration(
            weights_digest=self.checkpoint.weights_digest,
            cohort_digest=self.cohort_digest,
            subset=self.subset.value,
            method="none",
            scales=scaling.scales,
            biases=scaling.biases,
            reason=reason,
            patients=0,
            cases=0,
            samples=0,
            bound=ConformalBound(alpha=ALPHA, unit=unit, patients=0, units=0, reason=reason),
        )

    def record(self, workspace: Workspace, name: str, answers: ValidationAnswers, chosen: Chosen) -> Calibration:
        """Return the record of a fit, its picture drawn."""
        samples, scaling = answers.samples, chosen.scaling
        before, after = (reliability_of(logits, samples) for logits in (samples.logits, chosen.held_out))
        key = f"calibrations/{name}.png"
        write_bytes(workspace.store.root / key, _picture(name, self.checkpoint.task, (before, after), scaling.method))
        return Calibration(
            weights_digest=self.checkpoint.weights_digest,
            cohort_digest=self.cohort_digest,
            subset=self.subset.value,
            method=scaling.method,
            temperature=scaling.temperature,
            scales=scaling.scales,
            biases=scaling.biases,
            reason=scaling.reason,
            patients=len(samples.names),
            cases=answers.cases,
            samples=len(samples.labels),
            nll_before=float(losses(samples.logits, samples.labels).mean()),
            nll_after=float(losses(chosen.held_out, samples.labels).mean()),
            ece_before=before.ece,
            ece_after=after.ece,
            bins_before=before.bins,
            bins_after=after.bins,
            bound=answers.bound,
            picture=workspace.store.refer(key),
        )


def _picture(name: str, task: Task, reliability: tuple[Reliability, Reliability], method: str) -> bytes:
    titles = ("before calibration", "as it was" if method == "none" else f"after {method} scaling, held-out patients")
    before, after = ((title, one.ece, one.bins) for title, one in zip(titles, reliability, strict=True))
    return draw_reliability(name, before, after, unit="cases" if task.kind is TaskKind.CLASSIFICATION else "voxels")
