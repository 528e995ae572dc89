"""The recipe: everything a run needs to know, in a dozen top-level fields, validated before any compute is spent."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from data_contracts.card_notes import CardNotes
from data_contracts.data import CohortSpec, Data, DicomData, PhantomData
from data_contracts.experiment_plan import ArmVariant, ExperimentPlan
from data_contracts.explain_plan import Explain, ExplainSpec
from data_contracts.recipe_teachers import THE_TEACHER, TeacherNetwork, check_teachers, stored_readers, teacher_named
from data_contracts.record import MIGRATIONS, VersionedRecord
from data_contracts.synthesis import MADE_CASES, SynthesisSpec
from data_contracts.task import Role, Task, TaskKind
from data_contracts.training_config import TrainingConfig
from data_contracts.training_recipe import (
    Arm,
    ExtractionConfig,
    ExtractionSpec,
    PretrainingSpec,
    StudentRecipe,
    TeacherRecipe,
    TrainingSpec,
)


class Recipe(VersionedRecord):
    """A whole run. Everything that changes the result is here; where things lie and how fast they run is configuration.

    Attributes:
        name: of the run, its folder and its registered models (``NAME-ARM``): lower-case letters, digits and hyphens.
        description: what the run asks, for people.
        task: what is predicted.
        data: where the cases come from; ``kind`` says which fields there are.
        seeds: seeds of the students; each arm is trained once under each.
        teacher: what students learn from.
        teachers: further teachers, by name, for arms that ask several or another (``Arm.teachers``). All have the recipe's task and its gate's cases.
        student: what the students of all arms share.
        arms: ways to teach the student, by name; later ones are compared with ``alone`` and ``kd``, where they exist.
        explain: what the trained models are explained and judged by.
        experiment: what ``medkd experiment`` does beyond training the arms; None for a plain run.
        knowledge: what is extracted of the teacher for arms that read a store.
        outside_training: what registered models do with a study of another modality or unit than they were trained on: ``caveat`` says so
            before anything else, ``refuse`` refuses it (``MODALITY_FORBIDDEN``). Where the training data name neither, nothing can be
            refused, and the caveat ``TRAINING_DATA_UNKNOWN`` stands.
        card: what stands on the cards of the registered models: what is segmented, where the data come from and under which terms.
    """

    SCHEMA: ClassVar[str] = "recipe/3"
    name: str = Field(pattern=r"^[a-z][a-z0-9-]{1,40}$")
    description: str = ""
    task: Task
    data: Data
    seeds: tuple[int, ...] = Field(min_length=1)
    teacher: TeacherRecipe
    teachers: dict[str, TeacherRecipe] = Field(default_factory=dict, exclude_if=lambda teachers: not teachers)
    student: StudentRecipe
    arms: dict[str, Arm] = Field(min_length=1)
    explain: Explain = Explain()
    experiment: ExperimentPlan | None = None
    knowledge: ExtractionConfig = ExtractionConfig()
    outside_training: Literal["caveat", "refuse"] = "caveat"
    card: CardNotes = CardNotes()

    def model_post_init(self, context: Any) -> None:
        """Names of arms are part of file names and registry names; what an experiment names are arms."""
        super().model_post_init(context)
        bad = [arm for arm in self.arms if not arm.replace("_", "").isalnum() or not arm.islower()]
        if bad:
            raise ValueError(f"expected arm names of lower-case letters, digits and underscores, got {bad}")
        taken = [arm for arm in self.arms if _names_something_else(arm)]
        if taken:
            raise ValueError(
                f"expected arm names that are not teacher, do not end in _gap or _longer and hold no __ (variants are called so), got {taken}"
            )
        check_teachers(self)
        pretrained = [name for name, arm in self.arms.items() if arm.init == "pretrained"]
        if pretrained and self.student.pretrained is None and self.student.pretraining is None:
            raise ValueError(
                f"expected student.pretrained or student.pretraining for arms with init: pretrained, got neither for {pretrained}"
            )
        if self.experiment is not None:
            self._check_plan(self.experiment)
        if self.card.name_patients and (isinstance(self.data, PhantomData | DicomData) or self.data.table is None):
            raise ValueError(f"expected data with a table that names patients for card.name_patients, got {self.data.kind} without one")

    def cohorts(self) -> CohortSpec:
        """Return what the cohorts depend on: neither arms nor networks."""
        # A search has seeds of its own, and so training cases of its own where cases are drawn.
        searched = self.experiment.search_seeds if self.experiment else ()
        return CohortSpec(name=self.name, task=self.task, data=self.data, seeds=(*self.seeds, *searched))

    def explanation(self) -> ExplainSpec:
        """Return what the explanation of a model on a cohort depends on."""
        return ExplainSpec(name=self.name, task=self.task, explain=self.explain)

    def teacher_task(self, name: str = "teacher") -> Task:
        """Return the task of a teacher: of the head that it has, and of all images and columns, or those that it names."""
        teacher = teacher_named(self, name)
        task = self.task if teacher.head is None else self.task.of_head(teacher.head)
        return task.seen_through(teacher.inputs) if teacher.inputs else task

    def student_task(self) -> Task:
        """Return the task as the students see it: all images, or those that they name, and never the clinical row."""
        return self.task.seen_through(self.student.inputs or self.task.image_names).model_copy(update={"clinical": ()})

    def _shown(self, own: Task) -> Task | None:
        """Return the task with all that is shown where a network sees less of it; None where it sees all."""
        if own.input_names == self.task.input_names:
            return None
        return own.model_copy(update={"channels": self.task.channels, "clinical": self.task.clinical})

    def teacher_training(self, network: TeacherNetwork = THE_TEACHER) -> TrainingSpec:
        """Return what the training of one network of a teacher depends on."""
        teacher = teacher_named(self, network.teacher)
        task = self.teacher_task(network.teacher)
        asked = (teacher.learns_from,) if teacher.learns_from is not None else Arm.model_fields["teachers"].default
        return TrainingSpec(
            recipe=self.name,
            role=Role.TEACHER,
            arm=network.arm,
            seed=teacher.seed,
            task=task,
            network=teacher.network,
            fit=teacher.fit,
            objective=Arm(terms=teacher.terms, teachers=asked),
            selection=_selection(task, teacher.fit),
            fold=None if network.fold is None or teacher.folds is None else (network.fold, teacher.folds),
            shown=None if teacher.learns_from is None else self._shown(task),
        )

    def student_training(self, arm: str, seed: int) -> TrainingSpec:
        """Return what the training of a student depends on: its arm and no other."""
        objective = self.arms[arm]
        stored = objective.knowledge == "store"
        return TrainingSpec(
            recipe=self.name,
            role=Role.STUDENT,
            arm=arm,
            seed=seed,
            task=self.student_task(),
            network=self.student.network,
            fit=self.student.fit,
            objective=objective,
            resolution=self.knowledge.resolution if stored else None,
            class_map=self.knowledge.class_map if stored else {},
            selection=_selection(self.task, self.student.fit),
            hidden_classes=self.student.hidden_classes,
            hidden_cases=self.student.hidden_cases,
            shown=self._shown(self.student_task()),
        )

    def pretraining(self, seed: int) -> PretrainingSpec:
        """Return what the training of a seed's student without labels depends on; only of a recipe that has one."""
        if self.student.pretraining is None:
            raise ValueError(f"expected student.pretraining in {self.name}, there is none")
        return PretrainingSpec(
            recipe=self.name, seed=seed, task=self.student_task(), network=self.student.network, config=self.student.pretraining
        )

    def extraction(self, teacher: str = "teacher") -> ExtractionSpec:
        """Return what the extraction of a teacher's knowledge depends on: of the arms those that read a store of it (all, where none does)."""
        # Where no arm reads a store, knowledge is extracted for another site: of whatever these arms would ask.
        asking = tuple(arm for arm in self.arms.values() if teacher in arm.teachers)
        readers = stored_readers(self, teacher) or asking or tuple(self.arms.values())
        return ExtractionSpec(
            recipe=self.name,
            task=self.task,
            student=self.student.network,
            views=self.student.fit if self.knowledge.views else None,
            readers=readers,
            unlabelled=any(arm.unlabelled for arm in self.arms.values()),
            # How a student reads what is stored is not asked of the teacher.
            config=self.knowledge.model_copy(update={"class_map": {}, "resolution": "full"}),
            is_further=all(arm.teachers[0] != teacher for arm in readers if teacher in arm.teachers),
            student_task=None if self._shown(self.student_task()) is None else self.student_task(),
            cases=tuple(sorted({arm.cases for arm in readers})),
        )

    def synthesis(self) -> SynthesisSpec | None:
        """Return what the pictures depend on that arms learn from instead of cases; None where no arm does."""
        kinds = tuple(kind for kind in MADE_CASES if any(arm.cases == kind for arm in self.arms.values()))
        if not kinds:
            return None
        return SynthesisSpec(recipe=self.name, task=self.task, seeds=self.cohorts().seeds, kinds=kinds, config=self.student.synthesis)

    def _check_plan(self, plan: ExperimentPlan) -> None:
        named = {*plan.baselines, *plan.search, *plan.controlled, *(arm for c in plan.conditions.values() for arm in c.arms)}
        named |= {arm for arm in (plan.pareto, None if plan.gap is None else plan.gap.arm) if arm is not None}
        unknown = sorted(named - set(self.arms))
        if unknown:
            raise ValueError(f"expected arms of the recipe in its experiment, {unknown} are none; it has {sorted(self.arms)}")
        both = sorted(set(plan.search_seeds) & set(self.seeds))
        if both:
            raise ValueError(
                f"expected search_seeds that are not seeds of the recipe, {both} are: what was chosen on must not be scored on"
            )
        if plan.ceiling is not None:
            ceiling = ArmVariant.parse(plan.ceiling)
            arm, condition = ceiling.arm, ceiling.setting
            held = plan.conditions[condition].arms if condition in plan.conditions else () if condition else tuple(self.arms)
            if arm not in held:
                raise ValueError(f"expected an arm, or arm@condition, as ceiling, got {plan.ceiling!r}")
        if plan.pareto is not None and plan.pareto not in plan.search:
            raise ValueError(f"expected the arm {plan.pareto!r} of the Pareto sweep among the searched arms")


def _selection(task: Task, fit: TrainingConfig) -> str | None:
    """Return the figure by which a training's best epoch is chosen; None where the last one is taken."""
    if fit.patience is None:
        return None
    return {TaskKind.SEGMENTATION: "dice", TaskKind.CLASSIFICATION: "auc", TaskKind.DETECTION: "froc"}[task.kind]


def _names_something_else(arm: str) -> bool:
    """Return whether an arm is called as a teacher or a continuation is, or has a control's sign without a control."""
    try:
        variant = ArmVariant.parse(arm)
    except ValueError:
        return True
    return variant.continuation is not None or arm == "teacher"


MIGRATIONS["recipe/2"] = lambda earlier: {**earlier, "schema_version": "recipe/3"}
