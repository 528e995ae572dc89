"""What one recipe left, from its cohorts to its registered versions: one record that grows, step by step."""

from __future__ import annotations

from dataclasses import dataclass

from data_contracts import (
    Calibration,
    CaseResults,
    Checkpoint,
    CohortSet,
    Comparison,
    ExplanationBundle,
    GateVerdict,
    KnowledgeRef,
    Lineage,
    LossStatement,
    Recipe,
    Registered,
    RegistryError,
    Scorecard,
    StartingWeights,
    TrainingFeatures,
)

#: The figure that ranks the arms: the first of these that the scorecards have.
RANKING = ("auc_debiased", "auc", "dice", "cpm")


@dataclass(frozen=True)
class TeacherKnowledge:
    """Registered knowledge that was fetched: the name of the recipe's teacher that it is of, its record, and the version that it is."""

    teacher: str
    record: KnowledgeRef
    version: Lineage


@dataclass(frozen=True)
class RecipeResult:
    """Everything one recipe left, filled as far as the run went.

    Attributes:
        recipe: bound recipe.
        cohorts: prepared and certified.
        teacher: None where the arms learn from registered knowledge alone.
        teachers: the networks of further teachers, in the order in which they were trained.
        verdicts: of the gate over every network of a teacher.
        knowledge: what was extracted of the teacher; None where no arm reads a store.
        further_knowledge: what was extracted of further teachers' networks.
        knowledge_version: registered version of the knowledge, where it came from a registry.
        fetched: knowledge of each teacher, by its name, where all of it came from a registry and no teacher is here.
        reference: teacher of the knowledge, where it is registered: students are measured by it, and nothing is learned from it.
        starts: weights that arms with ``init: pretrained`` begin with, in the order of the seeds; none where no arm has it.
        students: in the order of arms and then of seeds.
        scorecards: of the teacher first, then of each arm.
        comparisons: later arms against earlier ones.
        case_results: of every model, case by case.
        calibrations: of the students, in their order; none where no validation cases are held back.
        training_features: of the students, in their order: what a finding is compared with.
        loss_statements: what each student lost against its teacher, in their order; none without a teacher or a reference.
        bundles: explanations of every student; those of further seeds are of fewer cases.
        registered: versions, teacher first.
    """

    recipe: Recipe
    cohorts: CohortSet
    teacher: Checkpoint | None = None
    teachers: tuple[Checkpoint, ...] = ()
    verdicts: tuple[GateVerdict, ...] = ()
    knowledge: KnowledgeRef | None = None
    further_knowledge: tuple[KnowledgeRef, ...] = ()
    knowledge_version: Lineage | None = None
    fetched: tuple[TeacherKnowledge, ...] = ()
    reference: Checkpoint | None = None
    starts: tuple[StartingWeights, ...] = ()
    students: tuple[Checkpoint, ...] = ()
    scorecards: tuple[Scorecard, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    case_results: tuple[CaseResults, ...] = ()
    calibrations: tuple[Calibration, ...] = ()
    training_features: tuple[TrainingFeatures, ...] = ()
    loss_statements: tuple[LossStatement, ...] = ()
    bundles: tuple[ExplanationBundle, ...] = ()
    registered: Registered | None = None

    @property
    def models(self) -> tuple[Checkpoint, ...]:
        """Return the teacher, where there is one, further ones, and the students."""
        return (*(() if self.teacher is None else (self.teacher,)), *self.teachers, *self.students)

    @property
    def evaluated(self) -> tuple[Checkpoint, ...]:
        """Return what is scored: the teacher, or else the teacher of the knowledge where it is there, and the students."""
        return self.models if self.reference is None or self.teacher is not None else (self.reference, *self.students)

    def best_student(self) -> Checkpoint:
        """Return the first seed of the student arm with the best figure (measured on other cases than a report shows)."""
        cards = [card for card in self.scorecards if card.role == "student"]
        figure = next(name for name in RANKING if name in cards[0].figures)
        best = max(cards, key=lambda card: card.figures[figure].mean)
        return next(model for model in self.students if model.weights_digest == best.weights_digests[0])

    def require_teacher(self) -> Checkpoint:
        """Return the teacher.

        Raises:
            RegistryError: ``TEACHER_MISSING`` when there is none.
        """
        if self.teacher is None:
            raise RegistryError("TEACHER_MISSING", f"expected a trained teacher of {self.recipe.name}, there is none")
        return self.teacher

    def require_registered(self) -> Registered:
        """Return the registered versions.

        Raises:
            RegistryError: ``REVIEW_BEFORE_REGISTRATION`` when there are none.
        """
        if self.registered is None:
            raise RegistryError(
                "REVIEW_BEFORE_REGISTRATION", f"expected registered models of {self.recipe.name} before a review, there are none"
            )
        return self.registered
