"""The recipe: everything a run needs to know, in at most twelve top-level fields, validated before any compute is spent."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from data_contracts.data import Data
from data_contracts.record import Finite, Record, Value

Option = bool | int | float | str | None | tuple[int, ...] | tuple[float, ...] | tuple[str, ...]


class TaskKind(StrEnum):
    """What is predicted: one class per image, or one class per pixel."""

    CLASSIFICATION = "classification"
    SEGMENTATION = "segmentation"


class Role(StrEnum):
    """What a registered version is: a network in one of two roles, or what a teacher said."""

    TEACHER = "teacher"
    STUDENT = "student"
    KNOWLEDGE = "knowledge"


class Task(Value):
    """The question: its kind, its classes (index 0 is background or the negative class), and what a network sees at once.

    ``image_size`` is (row, column) for pictures, which are brought to it, and (slice, row, column) for volumes, which are cut
    into patches of it. ``window`` is the range of stored values that is mapped to [-1, 1] (HU for CT, 0 to 255 for 8-bit
    pictures); with ``intensity`` "standardised" each volume is brought to mean 0 and deviation 1 within itself instead (MR has no
    unit). ``overlap`` is the share by which neighbouring windows of a sliding prediction overlap. ``spacing_mm`` (slice, row,
    column, after axes were brought to the patient's) is what volumes are resampled to; None takes them as they are.
    ``test_time_flips`` are axes of ``image_size``: logits are averaged over the image and all its mirrorings along them.
    """

    kind: TaskKind
    classes: tuple[str, ...] = Field(min_length=2)
    image_size: tuple[int, int] | tuple[int, int, int] = (64, 64)
    window: tuple[Finite, Finite] = (-160.0, 240.0)
    intensity: Literal["window", "standardised"] = "window"
    overlap: Finite = Field(default=0.5, ge=0, lt=1)
    spacing_mm: tuple[Finite, Finite, Finite] | None = None
    test_time_flips: tuple[int, ...] = ()

    def model_post_init(self, context: Any) -> None:
        """Axes of flips are axes of the image, each once."""
        if len(set(self.test_time_flips)) != len(self.test_time_flips) or not set(self.test_time_flips) <= set(range(self.spatial_dims)):
            raise ValueError(f"expected different axes below {self.spatial_dims} in test_time_flips, got {self.test_time_flips}")

    @property
    def spatial_dims(self) -> Literal[2, 3]:
        """Return 2 for pictures and 3 for volumes."""
        return 3 if len(self.image_size) == 3 else 2


class NetworkSpec(Value):
    """A builder of ``medkd/models`` and its options; in and out channels follow from the task.

    With ``rank_share`` its convolutions are products of small ones, of so many ranks (``medkd/models/_tucker.py``).
    """

    builder: str
    in_channels: int = Field(default=1, ge=1)
    out_channels: int = Field(default=2, ge=1)
    spatial_dims: Literal[2, 3] = 2
    options: dict[str, Option] = Field(default_factory=dict)
    rank_share: Finite | None = Field(default=None, gt=0, le=1)


class Network(Value):
    """Wish for a network: catalogue name and its options."""

    builder: str
    options: dict[str, Option] = Field(default_factory=dict)


class Schedule(Value):
    """How a number changes over training, from ``first`` (until the share ``begin`` of training) to ``last`` (from the share ``end`` on).

    ``constant`` stays at ``first``. ``linear`` and ``cosine`` go straight, or along half a cosine. ``healing`` decays exponentially, by a
    half in every fifth of the way: most of it early, while what was cut away heals. ``stop`` falls to ``last`` at ``begin`` (early-stopped
    distillation, Cho and Hariharan 2019).
    """

    kind: Literal["constant", "linear", "cosine", "healing", "stop"]
    first: Finite = 1.0
    last: Finite = 0.0
    begin: Finite = Field(default=0.0, ge=0, le=1)
    end: Finite = Field(default=1.0, ge=0, le=1)

    def model_post_init(self, context: Any) -> None:
        """Refuse a way that ends before it begins."""
        if self.end < self.begin:
            raise ValueError(f"expected a schedule that ends after it begins, got begin {self.begin} and end {self.end}")


class LearnedTemperature(Value):
    """A temperature that is learnt against the student: it rises in difficulty by gradient reversal (CTKD, Li et al. 2023, 2211.16231).

    It stays between ``low`` and ``high``; the reversed gradient is scaled by ``strength``, which it reaches along half a cosine.
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


Taps = Literal["each", "cross"] | tuple[tuple[str, str], ...]


class Term(Value):
    """One weighted term of an objective: a loss of the catalogue and its options, bound to its signature before compute.

    ``taps`` names pairs of layers, the student's and the teacher's, that a term over features compares (its mean over the pairs):
    ``each`` takes every named layer of the student with the teacher's of the nearest grid, ``cross`` with every layer of the teacher that is
    no deeper (Chen et al. 2021, 2104.09044). ``schedule`` scales the weight over training, ``temperature`` replaces the option of that
    name. With ``every`` the term is computed on one of so many steps and counts that many times there.
    """

    loss: str
    weight: Finite = Field(default=1.0, ge=0)
    options: dict[str, Option] = Field(default_factory=dict)
    taps: Taps | None = None
    schedule: Schedule | None = None
    temperature: Annotated[Schedule | LearnedTemperature, Field(discriminator="kind")] | None = None
    every: int = Field(default=1, ge=1)


class Strong(Value):
    """How much harder the student's image is than the one that the teacher is asked about (its place stays: nothing moves).

    Noise and blur in the network's input units and in voxels (standard deviations, drawn up to these), gamma up to this exponent or its
    inverse, and ``hidden`` boxes of a quarter of each axis that get the image's mean.
    """

    noise: Finite = Field(default=0.0, ge=0)
    blur: Finite = Field(default=0.0, ge=0)
    gamma: Finite = Field(default=1.0, ge=1)
    hidden: int = Field(default=0, ge=0)


class Fit(Value):
    """How a network is fitted.

    ``samples_per_epoch`` draws that many cases an epoch (with replacement when there are fewer), so that arms with different
    amounts of data make the same number of steps. ``foreground_share`` of the patches of a volume are centred on a labelled
    voxel (volumes larger than a patch; Isensee et al. 2021, nnU-Net).

    Attributes:
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
    strong: Strong | None = None


class Gate(Value):
    """What a teacher must show before students may copy it; ``enforce=False`` records the verdict and goes on."""

    min_auc: Finite | None = None
    min_dice: Finite | None = None
    min_mass_in_lesion: Finite | None = None
    max_marker_effect: Finite | None = None
    enforce: bool = True


class TeacherRecipe(Value):
    """Network, fit, objective and gate of the teacher."""

    network: Network
    fit: Fit
    terms: tuple[Term, ...] = Field(min_length=1)
    gate: Gate = Gate()
    seed: int = 0


class StudentRecipe(Value):
    """Network and fit that all arms share, so that they differ in nothing but their objective."""

    network: Network
    fit: Fit


class Evidence(StrEnum):
    """Whose explanations an arm's terms read: the teacher's own, or a control's (``medkd/knowledge/control.py``)."""

    TEACHER = "teacher"
    ANOTHER_PATIENT = "another_patient"
    CENTRE_GAUSSIAN = "centre_gaussian"
    RANDOM_TEACHER = "random_teacher"
    SHUFFLED = "shuffled"


class Balance(Value):
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
    """

    norms: bool = False
    warmup: int = Field(default=10, ge=1)
    do_no_harm: bool = False
    worst: Finite = Field(default=0.5, gt=0, le=1)
    every: int = Field(default=10, ge=1)
    momentum: Finite = Field(default=0.8, ge=0, lt=1)
    agreement_weight: Finite = Field(default=0.0, ge=0)
    agreement_rate: Finite = Field(default=0.0, ge=0)


class Arm(Value):
    """One way to teach the student: its terms, and whether images without labels may be used (the teacher answers there).

    ``evidence`` replaces the teacher's explanations, never its answers: a control. ``knowledge`` says where the teacher's answers come
    from: a ``live`` teacher in every step, or a ``store`` that was extracted before. ``begin`` says what is trained: the student's network from
    ``fresh`` weights, or the teacher ``compressed`` to at most the student's number of parameters, the control that distillation must beat.
    """

    terms: tuple[Term, ...] = Field(min_length=1)
    unlabelled: bool = False
    evidence: Evidence = Evidence.TEACHER
    knowledge: Literal["live", "store"] = "live"
    balance: Balance | None = None
    begin: Literal["fresh", "compressed"] = "fresh"


class MapWish(Value):
    """Maps to store: of the teacher's own answer, by one explainer, averaged to at most ``grid`` cells along each axis."""

    explainer: str
    options: dict[str, Option] = Field(default_factory=dict)
    grid: int = Field(default=32, ge=1)


class KnowledgeWish(Value):
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
        replay: ``half`` replays the logits of a segmentation at half resolution: terms compare student and teacher there, on an eighth
            of a volume's voxels (a quarter of a picture's pixels), and their labels at full.
        class_map: classes of the student and the classes of the teacher that each stands for; empty where both have the same. Classes of
            the teacher that are not named are dropped.
    """

    views: int = Field(default=0, ge=0, le=64)
    features: dict[str, int] = Field(default_factory=dict)
    maps: tuple[MapWish, ...] = ()
    step: Finite = Field(default=0.25, gt=0)
    residual_step: Finite = Field(default=0.25, gt=0)
    doubt: Finite = Field(default=6.0, ge=0)
    replay: Literal["full", "half"] = "full"
    class_map: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class Entry(Value):
    """An entry of the catalogue with options."""

    name: str
    options: dict[str, Option] = Field(default_factory=dict)


class Shift(Value):
    """Another acquisition of the same anatomy (``medkd/volumes/shift.py``): noise of a deviation in units of the network's input (its window is
    2 wide), blur of a deviation in voxels, or intensities to the power of ``strength``.
    """

    kind: Literal["noise", "blur", "gamma"]
    strength: Finite = Field(gt=0)


class Explain(Value):
    """Which explainers and measures the trained models are judged by, and on how many cases (one of each patient before another of any).

    With a ``shift`` every measure is taken on shifted images too: ``off_distribution:MEASURE`` is that value less the one on the images
    themselves, of the same targets.
    """

    explainers: tuple[Entry, ...] = (Entry(name="cam"),)
    measures: tuple[Entry, ...] = ()
    cases: int = Field(default=40, ge=1)
    randomisation: bool = True
    shift: Shift | None = None


class Condition(Value):
    """Other circumstances for some arms: fields of the recipe (dotted) that are different there."""

    overrides: dict[str, Option] = Field(min_length=1)
    arms: tuple[str, ...] = Field(min_length=1)
    description: str = ""


class GapRounds(Value):
    """Rounds after distillation that dwell on where teacher and student part (``medkd/experiment/gap_rounds.py``).

    A round trains the arm's student for ``epochs`` more, cases and voxels weighted by their share of the gap to the power ``strength``;
    rounds end when the mean gap on the validation cases falls by less than ``least_gain`` of its value.
    """

    arm: str
    rounds: int = Field(default=3, ge=1)
    epochs: int = Field(default=3, ge=1)
    strength: Finite = Field(default=1.0, ge=0)
    least_gain: Finite = Field(default=0.02, ge=0)


class Goal(Value):
    """What an experiment is judged by, and what its choices are made by (see :class:`ExperimentPlan`)."""

    primary: str
    select: Literal["task", "agreement", "response"]


class ExperimentPlan(Value):
    """What ``medkd experiment`` does with a recipe beyond training its arms.

    Attributes:
        primary: figure that the verdicts are about (harm, controls, Pareto sweep).
        baselines: the student alone, and plain soft labels.
        select: what configurations, weights and epochs are chosen by, on the same-bias validation cases: ``task`` (AUC, Dice),
            ``agreement`` with the teacher's class maps, or ``response``, agreement of how answers change when parts of the image are
            hidden (arms without a teacher are chosen by ``task``).
        search: configurations per arm, dotted fields of the arm (``terms.1.weight``) or of the recipe (``student.fit.learning_rate``);
            every arm that is searched has the same number of them.
        search_seeds: seeds of the search; they are not seeds of the recipe.
        controlled: arms whose explanations the controls replace; every control is run for each.
        plateau_epochs: budget of the second, longer training that learning curves and plateaus are read from.
        null_repetitions: times the arm alone is trained again from other initial weights: none of them should be called harmful.
        conditions: other circumstances, by name.
        gap: rounds of dwelling on the gap.
        pareto: arm whose configurations are drawn as accuracy against explanation.
        ceiling: arm that the gap closure is measured up to, instead of the teacher (``arm@condition`` names one of a condition).
    """

    primary: str
    baselines: tuple[str, str] = ("alone", "kd")
    select: Literal["task", "agreement", "response"] = "agreement"
    search: dict[str, tuple[dict[str, Option], ...]] = Field(default_factory=dict)
    search_seeds: tuple[int, ...] = ()
    controlled: tuple[str, ...] = ()
    plateau_epochs: int | None = Field(default=None, ge=2)
    null_repetitions: int = Field(default=0, ge=0)
    conditions: dict[str, Condition] = Field(default_factory=dict)
    gap: GapRounds | None = None
    pareto: str | None = None
    ceiling: str | None = None

    @property
    def goal(self) -> Goal:
        """Return what a look at a student depends on."""
        return Goal(primary=self.primary, select=self.select)

    def model_post_init(self, context: Any) -> None:
        """Refuse unequal search budgets: the arm that is tried more often looks better."""
        budgets = {arm: len(tried) for arm, tried in self.search.items()}
        if len(set(budgets.values())) > 1:
            raise ValueError(f"expected the same number of configurations for every searched arm, got {budgets}")
        if self.search and not self.search_seeds:
            raise ValueError("expected search_seeds for the search, got none")


class Recipe(Record):
    """A whole run. Everything that changes the result is here; where things lie and how fast they run is configuration.

    ``outside_training`` says what its registered models do with a study of another modality or unit than they were trained on: ``caveat``
    says so before anything else, ``refuse`` refuses the study (``MODALITY_FORBIDDEN``). Where the training data name neither, nothing
    can be refused, and the caveat ``TRAINING_DATA_UNKNOWN`` stands.
    """

    SCHEMA: ClassVar[str] = "recipe/1"
    name: str = Field(pattern=r"^[a-z][a-z0-9-]{1,40}$")
    description: str = ""
    task: Task
    data: Data
    seeds: tuple[int, ...] = Field(min_length=1)
    teacher: TeacherRecipe
    student: StudentRecipe
    arms: dict[str, Arm] = Field(min_length=1)
    explain: Explain = Explain()
    experiment: ExperimentPlan | None = None
    knowledge: KnowledgeWish = KnowledgeWish()
    outside_training: Literal["caveat", "refuse"] = "caveat"

    def model_post_init(self, context: Any) -> None:
        """Names of arms are part of file names and registry names; what an experiment names are arms."""
        super().model_post_init(context)
        bad = [arm for arm in self.arms if not arm.replace("_", "").isalnum() or not arm.islower()]
        if bad:
            raise ValueError(f"expected arm names of lower-case letters, digits and underscores, got {bad}")
        if self.experiment is not None:
            self._check_plan(self.experiment)

    def _check_plan(self, plan: ExperimentPlan) -> None:
        named = {*plan.baselines, *plan.search, *plan.controlled, *(arm for c in plan.conditions.values() for arm in c.arms)}
        named |= {arm for arm in (plan.pareto, None if plan.gap is None else plan.gap.arm) if arm is not None}
        unknown = sorted(named - set(self.arms))
        if unknown:
            raise ValueError(f"expected arms of the recipe in its experiment, {unknown} are none; it has {sorted(self.arms)}")
        if set(plan.search_seeds) & set(self.seeds):
            raise ValueError("expected search_seeds that are not seeds of the recipe: what was chosen on must not be scored on")
        if plan.ceiling is not None:
            arm, _, condition = plan.ceiling.partition("@")
            held = plan.conditions[condition].arms if condition in plan.conditions else () if condition else tuple(self.arms)
            if arm not in held:
                raise ValueError(f"expected an arm, or arm@condition, as ceiling, got {plan.ceiling!r}")
        if plan.pareto is not None and plan.pareto not in plan.search:
            raise ValueError(f"expected the arm {plan.pareto!r} of the Pareto sweep among the searched arms")
