"""Flow: a student is distilled again with what readers said of the last one, judged beside it, and proposed where the gate passes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from data_contracts import DataError, Feedback, FeedbackDirectives, ModelRef, Recipe, Redistillation
from flows.distill import distill, distill_student
from flows.each import of_model
from flows.evaluate import evaluate
from flows.explain import explain
from flows.extract_knowledge import extract_knowledge
from flows.orchestration import flow, submit_all, task
from flows.prepare import prepare
from flows.register import register, register_candidates
from flows.train_teacher import train_teacher
from medkd.dicom.confidentiality.secret import site_secret
from medkd.feedback.compare_students import compare_students
from medkd.feedback.directives import DirectiveOptions, directives_of
from medkd.feedback.judged_reports import judged_reports
from medkd.feedback.log import FeedbackLog
from medkd.feedback.next_student import require_arm, taught_spec
from medkd.feedback.register_student import attach_feedback, write_feedback
from medkd.recipe_calls.training_calls import student_calls
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import Workspace

compare = task(compare_students)
attach = task(attach_feedback)


@dataclass(frozen=True)
class RedistillResult:
    """What came of it.

    Attributes:
        directives: that the student followed.
        outcome: figures and verdict.
        candidate: the version that was proposed; None where the gate refused.
    """

    directives: FeedbackDirectives
    outcome: Redistillation
    candidate: ModelRef | None = None

    @property
    def refused_by(self) -> tuple[str, ...]:
        """Return the requirements of the gate that do not hold."""
        return tuple(one.requirement for one in self.outcome.verdict.findings if not one.holds)


@flow
def redistill(workspace: Workspace, recipe: Recipe, directives: FeedbackDirectives, arm: str | None = None) -> RedistillResult:
    """Distil an arm again with feedback and once more without, judge it beside the student before, and register it where the gate passes.

    What a run of the recipe left in the workspace already is taken from there. A refusal is a result, with its figures.
    """
    narrowed = require_arm(recipe, arm)
    (taught,) = extract_knowledge(workspace, train_teacher(workspace, prepare(workspace, (recipe,))))
    (before,) = distill(workspace, (replace(taught, recipe=narrowed),))
    trained = {"before": before, **distill_again(workspace, before, directives)}
    scored = {name: evaluate(workspace, (result,))[0] for name, result in trained.items()}
    (outcome,) = submit_all(compare, [(workspace, scored, directives)], title="gate")
    write_feedback(workspace, directives, outcome)
    if not outcome.verdict.passed:
        return RedistillResult(directives, outcome)
    done = register(workspace, explain(workspace, (scored["after"],)))
    (candidate,) = register_candidates(workspace, done)
    submit_all(attach, [(workspace, done[0].require_registered(), directives, outcome)], title="register feedback")
    return RedistillResult(directives, outcome, candidate)


def distill_again(workspace: Workspace, before: RecipeResult, directives: FeedbackDirectives) -> Mapping[str, RecipeResult]:
    """Return the student of the same budget that feedback teaches nothing (``control``), and the one that it teaches (``after``)."""
    calls, names = [], []
    for said, teaches in ((directives.without_teaching(), False), (directives, True)):
        for place, spec, *more in student_calls(workspace, before):
            own = taught_spec(spec, said) if teaches else spec
            calls.append((place, own, *more, said))
            names.append(f"{of_model(before, spec.arm, spec.seed)} {'with' if teaches else 'without'} feedback")
    students = submit_all(distill_student, calls, title="students again", names=names)
    half = len(before.students)
    return {"control": replace(before, students=tuple(students[:half])), "after": replace(before, students=tuple(students[half:]))}


@dataclass(frozen=True)
class Readings:
    """Where feedback lies, and how it is taken.

    Attributes:
        log: folder of the log.
        reports: folder below which the reports lie that readers saw.
        strength: factor of the term that keeps attribution off forbidden voxels.
        eval_share: share of the patients whose feedback judges.
    """

    log: Path
    reports: Path
    strength: float = 1.0
    eval_share: float = 0.25


def read_directives(recipe: Recipe, readings: Readings) -> FeedbackDirectives:
    """Return what a feedback log says to the recipe's next student; every line of the log is verified.

    Raises:
        FeedbackError: ``FEEDBACK_LOG_ALTERED``.
        DataError: ``FEEDBACK_EMPTY``; ``FEEDBACK_TEACHES_NOTHING``, with what was ignored and why.
    """
    entries = FeedbackLog(readings.log).entries()
    wanted = {one.record.report for one in entries if isinstance(one.record, Feedback)}
    options = DirectiveOptions(recipe.task.kind, site_secret(), eval_share=readings.eval_share, strength=readings.strength)
    found = directives_of(entries, judged_reports(readings.reports, wanted), options)
    teaching = [one for one in found.of_part("train") if one.regions or one.prediction_weight < 1 or one.explanation_weight < 1]
    if not teaching:
        why = ", ".join(f"{count} {reason}" for reason, count in found.ignored.items()) or "nothing"
        raise DataError(
            "FEEDBACK_TEACHES_NOTHING",
            f"expected feedback that changes the next student, of {len(entries)} entries none does ({len(found.studies)} studies count, ignored: "
            f"{why}); name the folder of the reports that readers saw, or let more studies be judged",
        )
    return found
