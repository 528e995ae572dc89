"""Who learns from whom: teachers, students, arms, and what is extracted of a teacher."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from data_contracts.record import Finite, FrozenModel
from data_contracts.starting_weights import PretrainedStart, PretrainingConfig, StartingWeights
from data_contracts.synthesis import SynthesisConfig, TrainingCases
from data_contracts.task import Option, Role, Task
from data_contracts.training_config import LossTerm, Network, TrainingConfig


class Gate(FrozenModel):
    """What a teacher must show before students may copy it. Bounds that are None are not asked for.

    Attributes:
        min_auc: least AUC on the teacher's validation cases.
        min_dice: least mean Dice on them.
        min_relevance_mass_accuracy: least share of the class map's mass that lies in the lesion.
        max_marker_effect: largest change of the answer when a planted marker is put in or taken out (phantom).
        min_cpm: least mean sensitivity of a detector over its operating points; left out of the record where it is not asked for.
        enforce: true stops the run where a bound is missed, false records the verdict and goes on.
    """

    min_auc: Finite | None = None
    min_dice: Finite | None = None
    min_relevance_mass_accuracy: Finite | None = None
    max_marker_effect: Finite | None = None
    min_cpm: Finite | None = Field(default=None, exclude_if=lambda bound: bound is None)
    enforce: bool = True


#: What stands in the place of a training that never happens: a registered teacher's own network is known when it is fetched.
_NEVER_TRAINED: dict[str, Any] = {"network": {"builder": "unet"}, "fit": {"epochs": 1}, "terms": ({"loss": "cross_entropy"},)}


class TeacherRecipe(FrozenModel):
    """The teacher: how it is trained, or with ``registered`` and a ``gate`` alone which registered version it is.

    Attributes:
        registered: version that students learn from, ``models:/NAME/VERSION``, for example one of ``medkd import-teacher``; no teacher is trained
            then, and the gate judges this one. Left out of the record where there is none.
        network: what is trained.
        fit: how it is fitted.
        terms: its objective: the sum of these losses.
        gate: what it must show before students may copy it.
        seed: of its first weights and its draws.
        learns_from: name of the teacher that its own terms read: a teacher assistant (Mirzadeh et al. 2020, 1902.03393). Of further teachers only.
        folds: so many networks of one build, each trained without one fold of the patients. Of further teachers only.
        inputs: images and clinical columns that it sees, by their names in the task; without any it sees all. Left out of the record then.
        head: the one head, ``segmentation`` or ``classification``, that a teacher of a task with ``case_classes`` has: two teachers of one head each
            teach a student of both. Left out of the record where it has all heads of the task.
    """

    model_config = ConfigDict(
        json_schema_extra=lambda schema: schema.update(
            required=[], oneOf=[{"required": ["registered"]}, {"required": schema.get("required", [])}]
        )
    )

    registered: str | None = Field(default=None, pattern=r"^models:/[^/@]+/[0-9]{1,9}$", exclude_if=lambda uri: uri is None)
    network: Network
    fit: TrainingConfig
    terms: tuple[LossTerm, ...] = Field(min_length=1)
    gate: Gate = Gate()
    seed: int = 0
    learns_from: str | None = Field(default=None, exclude_if=lambda name: name is None)
    folds: int | None = Field(default=None, ge=2, le=10, exclude_if=lambda count: count is None)
    inputs: tuple[str, ...] = Field(default=(), exclude_if=lambda names: not names)
    head: Literal["segmentation", "classification"] | None = Field(default=None, exclude_if=lambda head: head is None)

    @model_validator(mode="before")
    @classmethod
    def _never_trained(cls, value: Any) -> Any:
        """A registered teacher has no training: what would describe one is refused, and something that is never used stands in its place."""
        if not isinstance(value, dict) or value.get("registered") is None:
            return value
        given = sorted(set(value) & {*_NEVER_TRAINED, "seed", "head", "inputs"})
        if given:
            raise ValueError(f"expected a registered teacher or one that is trained, got registered and {', '.join(given)}")
        return {**value, **_NEVER_TRAINED}

    @model_serializer(mode="wrap")
    def _without_training(self, write: SerializerFunctionWrapHandler) -> Any:
        written = write(self)
        return written if self.registered is None else {name: written[name] for name in ("registered", "gate")}


class StudentRecipe(FrozenModel):
    """What the students of all arms share, so that they differ in nothing but their objective.

    Attributes:
        network: what is trained.
        fit: how it is fitted.
        pretrained: weights of before that arms with ``init: pretrained`` begin with; left out of the record where there are none.
        pretraining: how the network is trained without labels first, on the recipe's own training images; arms with ``init: pretrained`` begin
            with what it learned. Left out of the record where there is none.
        hidden_classes: classes that the students' labels never show: what they know of them is the teacher's (Hinton et al. 2015, 1503.02531,
            section 3). Voxels of such a class have no label in a segmentation. Left out of the record where there are none.
        hidden_cases: what becomes of a student's training case of a hidden class (classification): it is ``left_out``, or stays as an image
            without a label (``unlabelled``), which the teacher answers for.
        inputs: images that the students see, by their names in the task; without any they see all images. A clinical row is never theirs: it
            is what the teacher knows and they must do without (Lopez-Paz et al. 2016, 1511.03643). Left out of the record where there are none.
        synthesis: how pictures are made from the teacher for arms with ``cases: synthesised``; left out of the record where it is the default.
    """

    network: Network
    fit: TrainingConfig
    pretrained: PretrainedStart | None = Field(default=None, exclude_if=lambda start: start is None)
    pretraining: PretrainingConfig | None = Field(default=None, exclude_if=lambda config: config is None)
    hidden_classes: tuple[str, ...] = Field(default=(), exclude_if=lambda names: not names)
    hidden_cases: Literal["left_out", "unlabelled"] = Field(default="left_out", exclude_if=lambda cases: cases == "left_out")
    inputs: tuple[str, ...] = Field(default=(), exclude_if=lambda names: not names)
    synthesis: SynthesisConfig = Field(default=SynthesisConfig(), exclude_if=lambda config: config == SynthesisConfig())

    def model_post_init(self, context: Any) -> None:
        """Refuse two starts at once."""
        if self.pretrained is not None and self.pretraining is not None:
            raise ValueError(
                f"expected student.pretrained or student.pretraining, got both ({self.pretrained.source}): say which the arms begin with"
            )


class AttributionSource(StrEnum):
    """Whose explanations an arm's terms read: the teacher's own, or a control's (``medkd/knowledge/control.py``)."""

    TEACHER = "teacher"
    ANOTHER_PATIENT = "another_patient"
    CENTRE_GAUSSIAN = "centre_gaussian"
    RANDOM_TEACHER = "random_teacher"
    SHUFFLED = "shuffled"


class LossBalancing(FrozenModel):
    """How the weights of an arm's terms follow what is measured while it trains. The terms that read labels and no teacher are the task.

    Attributes:
        norms: weights are in units of the task's gradient: each other term is scaled by |g_task| / |g_term|, the ratio of the sums over the
            first ``warmup`` measurements, and kept so from then on.
        warmup: measurements.
        do_no_harm: a term whose gradient opposes the task's is damped: by 1 + c / ``worst`` where its smoothed cosine c is negative, and
            switched off from -``worst`` on.
        worst: cosine at which a term is off.
        every: steps between two measurements (each costs a backward pass per term).
        momentum: of the smoothed cosine.
        agreement_weight: terms that read explanations are weighted by (d / d_first) to this power, d = 1 - agreement of student's and
            teacher's class maps, smoothed: what agrees already need not be pulled.
        agreement_rate: the learning rate is scaled by the same ratio to this power, between a tenth and 1.
        uncertainty: the task of each head is divided by a variance that is learnt with the network, whose logarithm is added (Kendall et al. 2018,
            1705.07115): for networks with two heads. Left out of the record where it is not asked for.
    """

    norms: bool = False
    warmup: int = Field(default=10, ge=1)
    do_no_harm: bool = False
    worst: Finite = Field(default=0.5, gt=0, le=1)
    every: int = Field(default=10, ge=1)
    momentum: Finite = Field(default=0.8, ge=0, lt=1)
    agreement_weight: Finite = Field(default=0.0, ge=0)
    agreement_rate: Finite = Field(default=0.0, ge=0)
    uncertainty: bool = Field(default=False, exclude_if=lambda asked: not asked)


#: The only teacher of an arm that names none.
ONE_TEACHER = ("teacher",)
#: Names of teachers that are made while, or by what, an arm trains.
ONLINE_TEACHERS = frozenset({"ema", "peer"})
BUILT_IN_TEACHERS = ONLINE_TEACHERS | {"self"}


class Arm(FrozenModel):
    """One way to teach the student.

    Attributes:
        terms: its objective: the sum of these losses.
        unlabelled: whether images without labels are used; the teacher answers for them.
        attribution_source: whose explanations the terms read; another than the teacher's is a control, and never replaces its answers.
        knowledge: where the teacher's answers come from: a ``live`` teacher in every step, or a ``store`` that was extracted before.
        balance: how weights follow what is measured while it trains; None keeps them.
        init: what is trained: the student's network from ``random`` weights, or the teacher compressed (``compressed_teacher``) to at most the student's number of
            parameters, the control that distillation must beat; ``pretrained`` begins with what ``student.pretrained`` or
            ``student.pretraining`` brings: with terms that ask no teacher it is fine-tuning, the control beside distillation.
        teachers: who is asked: ``teacher``, names of the recipe's further ``teachers``, or one of three that need no training of their own: ``ema``
            (averaged weights of the student itself; Tarvainen and Valpola 2017, 1703.01780), ``peer`` (a second student that is trained in the same
            loop, each learning from the other; Zhang et al. 2018, 1706.00384; the first is kept) and ``self`` (the finished student of the arm
            ``self_arm`` under the same seed; Furlanello et al. 2018, 1805.04770). The first answers where only one can: layers, statements.
        weighting: how several teachers' answers are mixed: alike (``mean``); by each one's cross-entropy where there is a label, by entropy
            elsewhere (``confidence``; Zhang et al. 2022, 2201.00007); by entropy (``entropy``); or per class by what the gate measured on its
            validation cases (``validation``).
        out_of_fold: a teacher with folds answers for a patient that it was trained on by the network that was not.
        self_arm: arm whose student is the teacher ``self``.
        ema_decay: of the averaged weights of the teacher ``ema``, reached as 1 - 1 / (step + 1).
        cases: what the student sees: the recipe's ``real`` training cases, pictures ``synthesised`` from its teacher (no case at all:
            ``student.synthesis``), or the ``noise`` that those began as, the control beside them. Left out of the record where they are real.
    """

    terms: tuple[LossTerm, ...] = Field(min_length=1)
    unlabelled: bool = False
    attribution_source: AttributionSource = AttributionSource.TEACHER
    knowledge: Literal["live", "store"] = "live"
    balance: LossBalancing | None = None
    init: Literal["random", "compressed_teacher", "pretrained"] = "random"
    teachers: tuple[str, ...] = Field(default=ONE_TEACHER, min_length=1, exclude_if=lambda names: names == ONE_TEACHER)
    weighting: Literal["mean", "confidence", "entropy", "validation"] = Field(default="mean", exclude_if=lambda kind: kind == "mean")
    out_of_fold: bool = Field(default=False, exclude_if=lambda wanted: not wanted)
    self_arm: str = Field(default="alone", exclude_if=lambda arm: arm == "alone")
    ema_decay: Finite = Field(default=0.99, gt=0, lt=1, exclude_if=lambda decay: decay == 0.99)
    cases: TrainingCases = Field(default="real", exclude_if=lambda kind: kind == "real")

    def model_post_init(self, context: Any) -> None:
        """Refuse a teacher that is named twice: its weight would be."""
        if len(set(self.teachers)) != len(self.teachers):
            raise ValueError(f"expected each teacher of an arm once, got {list(self.teachers)}")


class MapSpec(FrozenModel):
    """Maps to store: of the teacher's own answer, by one explainer.

    Attributes:
        explainer: name of the explainer in the catalogue (``medkd list explainers``).
        options: its options.
        grid: most cells along each axis; finer maps are averaged.
    """

    explainer: str
    options: dict[str, Option] = Field(default_factory=dict)
    grid: int = Field(default=32, ge=1)


class ExtractionConfig(FrozenModel):
    """What is extracted of a teacher (``medkd/knowledge/README.md``). What the arms ask for and is not named here is added to it.

    Attributes:
        views: 0 stores the clean image's knowledge, which is moved along with each view that training draws; K stores that many drawn
            views per case, and training draws among them.
        features: layers of the teacher (``last`` for the one that class maps are read from) and the cells that they are averaged to along
            each axis.
        maps: attribution maps.
        step: quantisation step of the half-resolution logits of a segmentation.
        residual_step: step of what they leave at full resolution, where the teacher's margin is below ``doubt``.
        doubt: margin in logits; 0 stores no residual.
        resolution: ``half`` replays the logits of a segmentation at half resolution: terms compare student and teacher there, on an eighth
            of a volume's voxels (a quarter of a picture's pixels), and their labels at full.
        class_map: classes of the student and the classes of the teacher that each stands for; empty where both have the same. Classes of
            the teacher that are not named are dropped.
    """

    views: int = Field(default=0, ge=0, le=64)
    features: dict[str, int] = Field(default_factory=dict)
    maps: tuple[MapSpec, ...] = ()
    step: Finite = Field(default=0.25, gt=0)
    residual_step: Finite = Field(default=0.25, gt=0)
    doubt: Finite = Field(default=6.0, ge=0)
    resolution: Literal["full", "half"] = "full"
    class_map: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class TrainingSpec(FrozenModel):
    """Everything that one training depends on beside its cases and its teacher: what its result is remembered by.

    Attributes:
        recipe: name of the recipe, which file names and first weights follow from.
        role: teacher or student.
        arm: of the recipe; ``teacher`` for a teacher.
        seed: of the run.
        task: what is predicted.
        network: what is trained.
        fit: how.
        objective: its terms, and how they are weighted.
        resolution: at which resolution stored knowledge is replayed; None where none is read.
        class_map: as :class:`ExtractionConfig`; empty where no stored knowledge is read.
        selection: measure that ``fit.patience`` is about; None without patience.
        fold: (number from 1, of how many): it is trained without the patients of that fold; None with all.
        start: weights that an arm with ``init: pretrained`` begins with; left out of the record where there are none.
        hidden_classes: as :class:`StudentRecipe`; left out of the record where there are none.
        hidden_cases: as :class:`StudentRecipe`.
        shown: the task with all that the networks of this training see, of which each picks its own; left out of the record where all see the same.
    """

    recipe: str
    role: Literal[Role.TEACHER, Role.STUDENT]
    arm: str
    seed: int
    task: Task
    network: Network
    fit: TrainingConfig
    objective: Arm
    resolution: Literal["full", "half"] | None = None
    class_map: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    selection: str | None = None
    fold: tuple[int, int] | None = Field(default=None, exclude_if=lambda fold: fold is None)
    start: StartingWeights | None = Field(default=None, exclude_if=lambda start: start is None)
    hidden_classes: tuple[str, ...] = Field(default=(), exclude_if=lambda names: not names)
    hidden_cases: Literal["left_out", "unlabelled"] = Field(default="left_out", exclude_if=lambda cases: cases == "left_out")
    shown: Task | None = Field(default=None, exclude_if=lambda task: task is None)

    @property
    def shown_task(self) -> Task:
        """Return the task as the cohort of this training is opened for it."""
        return self.shown or self.task

    def sibling_key(self) -> str:
        """Return the digest of what trainings share that differ in their seed alone."""
        # Any fixed seed would do: it only must not tell trainings apart.
        return self.model_copy(update={"seed": 0, "start": None}).digest()


class ExtractionSpec(FrozenModel):
    """Everything that the extraction of a teacher's knowledge depends on beside the cases and the teacher.

    Attributes:
        recipe: name of the recipe, which file names follow from.
        task: what is predicted.
        student: network that the arms train: which of the teacher's layers are read follows from it.
        views: how views are drawn, where the query has any.
        readers: objectives of the arms that read it.
        unlabelled: whether one of the arms learns from images without labels.
        config: what is stored beside what the arms ask for.
        is_further: whether it is one of several teachers and not the first of its arms: no layer of it is read.
        student_task: the task as the students see it; left out of the record where they see all that the teacher does.
        cases: which cases the arms learn from; left out of the record where all are real.
    """

    recipe: str
    task: Task
    student: Network
    views: TrainingConfig | None
    readers: tuple[Arm, ...]
    unlabelled: bool
    config: ExtractionConfig
    is_further: bool = Field(default=False, exclude_if=lambda further: not further)
    student_task: Task | None = Field(default=None, exclude_if=lambda task: task is None)
    cases: tuple[TrainingCases, ...] = Field(default=("real",), exclude_if=lambda kinds: kinds == ("real",))


class PretrainingSpec(FrozenModel):
    """Everything that a training without labels depends on beside its images.

    Attributes:
        recipe: name of the recipe, which file names and first weights follow from.
        seed: of the students that begin with it.
        task: what a network sees at once.
        network: what is trained.
        config: how.
    """

    recipe: str
    seed: int
    task: Task
    network: Network
    config: PretrainingConfig
