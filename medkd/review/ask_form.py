"""What a reader may ask of a place of a study: which models, which classes, and what was asked before."""

from __future__ import annotations

from dataclasses import dataclass

from data_contracts import ReviewReport, StudyExplanation, TaskKind


@dataclass(frozen=True)
class AskedModel:
    """A model of a report that can be asked.

    Attributes:
        explanation: digest of its explanation.
        name: of the model, with its version.
        classes: that are known from what it said; the one that it gives at the place is asked for by leaving the class out.
    """

    explanation: str
    name: str
    classes: tuple[str, ...]


@dataclass(frozen=True)
class AskedBefore:
    """A question that was asked of this report.

    Attributes:
        address: of its page.
        place: slice, row, column, from 1.
        class_name: that was asked for; empty for the one that the model gives there.
    """

    address: str
    place: tuple[int, int, int]
    class_name: str


@dataclass(frozen=True)
class AskForm:
    """The form of a served page.

    Attributes:
        action: address that it is sent to.
        csrf: token of the session.
        models: that can be asked.
        shape: slices, rows, columns of the study.
        asked: questions before.
        open: whether the reader may ask now: where wrong maps are shown on purpose, only after the sign-off.
        worker: whether somebody is there to answer.
    """

    action: str
    csrf: str
    models: tuple[AskedModel, ...]
    shape: tuple[int, int, int]
    asked: tuple[AskedBefore, ...] = ()
    open: bool = True
    worker: bool = True

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the classes of all models, each once."""
        return tuple(dict.fromkeys(name for one in self.models for name in one.classes))


def models_asked(report: ReviewReport) -> tuple[AskedModel, ...]:
    """Return the models of a report."""
    return tuple(AskedModel(one.digest(), f"{one.model.name}/{one.model.version}", _classes(one)) for one in report.explanations)


def _classes(one: StudyExplanation) -> tuple[str, ...]:
    named = [lesion.class_name for lesion in (*one.lesions, *one.teacher_only)]
    named += [name for answer in one.answers for name in (*answer.probabilities, answer.class_name)]
    # A segmenter says what is in a place; of the background it is not asked.
    return tuple(name for name in dict.fromkeys(named) if name != "background" or one.kind is TaskKind.CLASSIFICATION)
