"""Flow: an experiment, arms times seeds with search, controls, plateaus and conditions, ends in a scoreboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from data_contracts import (
    ONE_TEACHER,
    ArmFigures,
    ArmVariant,
    Checkpoint,
    CohortSet,
    EpochSelection,
    Evaluation,
    ExperimentPlan,
    GapFineTuningRun,
    GapSummary,
    GateVerdict,
    Option,
    Recipe,
    RecipeError,
    Scoreboard,
    Search,
    Subset,
    TrainingSpec,
)
from flows.distill import begin, distill_student
from flows.each import Call, submit_each
from flows.evaluate import evaluate_one
from flows.extract_knowledge import extract_knowledge
from flows.orchestration import flow, submit_all, task
from flows.prepare import prepare
from flows.train_teacher import judge, train_further_teachers, with_teacher
from medkd.cohorts.split import require_clean
from medkd.evaluation.gate_teacher import require_fit_teacher
from medkd.evaluation.validate import VALIDATIONS
from medkd.experiment.choose import choose_configuration, choose_epoch, criterion
from medkd.experiment.gap_fine_tuning import fine_tune_on_gap
from medkd.experiment.scoreboard import Choices, compared_with, compose_board, score_arm, sibling
from medkd.experiment.trials import examine, train_with_snapshots, validate
from medkd.experiment.validate_student import validation_subset
from medkd.experiment.variants import PRIMARIES, in_condition, renamed, require_controls, single_arm, with_controls
from medkd.experiment.write_scoreboard import write_scoreboard
from medkd.recipe_calls.training_calls import gate_call, knowledge_for, stopped_arms, teachers_of
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import Workspace

Changes = Mapping[str, Option]


validate_student = task(validate)
train_series = task(train_with_snapshots, trains=True)
fine_tune = task(fine_tune_on_gap, trains=True)
examine_student = task(examine)
score = task(score_arm)


@dataclass(frozen=True)
class ExperimentSetting:
    """Where arms meet: a recipe with its cohorts and its teacher, the base or a condition."""

    name: str
    recipe: Recipe
    cohorts: CohortSet
    teacher: Checkpoint
    verdict: GateVerdict
    taught: RecipeResult


@dataclass(frozen=True)
class TrainedArm:
    """An arm in one setting: its students by seed; ``is_null`` for a repetition of the student alone."""

    name: str
    setting: ExperimentSetting
    recipe: Recipe
    students: tuple[Checkpoint, ...]
    is_null: bool = False


@flow
def experiment(workspace: Workspace, recipe: Recipe) -> Scoreboard:
    """Run an experiment of a recipe from data to scoreboard."""
    plan = plan_of(recipe)
    base, *conditions = open_settings(workspace, recipe)
    validation_subset(base.cohorts)
    searched = search(workspace, base)
    chosen = {arm: tried.configurations[tried.chosen].options for arm, tried in searched.items()}
    entries = train_arms(workspace, base, chosen)
    longer, epoch_selections = train_longer(workspace, base, chosen)
    nulls = train_nulls(workspace, base, chosen)
    fine_tuned, gap = fine_tune_arm(workspace, entries, plan)
    elsewhere = [entry for setting in conditions for entry in train_condition(workspace, setting, plan, chosen)]
    results = TrainedArms([*entries, *longer, *fine_tuned, *elsewhere], nulls, searched, epoch_selections, gap)
    board = score_all(workspace, base, results, {setting.name: setting.verdict for setting in (base, *conditions)})
    write_scoreboard(workspace, board)
    return board


@dataclass(frozen=True)
class TrainedArms:
    """What was trained and chosen, before it is scored."""

    entries: list[TrainedArm]
    nulls: list[TrainedArm]
    searched: dict[str, Search]
    epoch_selections: dict[str, EpochSelection]
    gap: GapSummary | None


def plan_of(recipe: Recipe) -> ExperimentPlan:
    """Return a recipe's plan.

    Raises:
        RecipeError: ``EXPERIMENT_PLAN`` when it has none, or its primary figure is not one that a verdict can rest on.
    """
    plan = recipe.experiment
    if plan is None:
        raise RecipeError(
            "EXPERIMENT_PLAN", f"expected a field experiment in the recipe {recipe.name}, it has none; `medkd run` trains its arms"
        )
    if plan.primary not in PRIMARIES:
        raise RecipeError("EXPERIMENT_PLAN", f"expected a primary figure among {sorted(PRIMARIES)}, got {plan.primary!r}")
    require_controls(recipe, plan)
    one_teacher = [] if plan.plateau_epochs is None else [name for name, arm in recipe.arms.items() if arm.teachers != ONE_TEACHER]
    one_teacher += [plan.gap.arm] if plan.gap is not None and recipe.arms[plan.gap.arm].teachers != ONE_TEACHER else []
    if one_teacher:
        raise RecipeError(
            "EXPERIMENT_PLAN",
            f"expected plateau_epochs and gap only with arms that ask the one teacher, {one_teacher[0]!r} asks others: leave them out of the plan",
        )
    return plan


@flow
def open_settings(workspace: Workspace, recipe: Recipe) -> list[ExperimentSetting]:
    """Prepare cohorts and teacher of the base and of every condition; only the base's teacher must pass an enforced gate."""
    conditions = plan_of(recipe).conditions
    recipes = (recipe, *(in_condition(recipe, condition.overrides) for condition in conditions.values()))
    prepared = prepare(workspace, recipes)
    for one in prepared:
        require_clean(one.cohorts, before="an experiment")
    with_teachers, verdicts = train_teachers(workspace, prepared)
    require_fit_teacher(verdicts[0])
    known = extract_knowledge(workspace, further_teachers(workspace, with_teachers))
    return [
        ExperimentSetting(name, one.recipe, one.cohorts, one.require_teacher(), verdict, one)
        for name, one, verdict in zip(("", *conditions), known, verdicts, strict=True)
    ]


def further_teachers(workspace: Workspace, with_teachers: Sequence[RecipeResult]) -> list[RecipeResult]:
    """Train and judge the further teachers of the base and of every condition.

    Raises:
        TeacherGateError: ``TEACHER_REFUSED`` when the base's gate refuses one that an arm asks: a scoreboard without that arm was not asked for.
    """
    taught = [train_further_teachers(workspace, one) for one in with_teachers]
    for verdict in taught[0].verdicts if stopped_arms(taught[0]) else ():
        require_fit_teacher(verdict)
    unenforced = {"enforced": False}
    elsewhere = [replace(one, verdicts=tuple(verdict.model_copy(update=unenforced) for verdict in one.verdicts)) for one in taught[1:]]
    return [taught[0], *elsewhere]


def train_teachers(workspace: Workspace, prepared: Sequence[RecipeResult]) -> tuple[list[RecipeResult], list[GateVerdict]]:
    """Train the teacher of the base and of every condition, and return what the gate says of each."""

    def training_of(one: RecipeResult) -> list[Call]:
        spec = one.recipe.teacher_training()
        # What a teacher is selected on is in its key only where its patience looks at it.
        return [(workspace, spec, one.cohorts.only(Subset.TEACHER_TRAIN, *_selecting(spec)))]

    with_teachers = list(with_teacher(workspace, prepared, training_of))
    examined = submit_each(judge, with_teachers, lambda one: [gate_call(workspace, one)], title="teacher gate")
    judged = [replace(one, verdicts=(verdict,)) for one, (verdict,) in examined]
    return judged, [verdict for _, (verdict,) in examined]


@flow
def search(workspace: Workspace, base: ExperimentSetting) -> dict[str, Search]:
    """Try every configuration of every searched arm under the search seeds, and choose on the validation cases."""
    plan = plan_of(base.recipe)
    tried = [(arm, options) for arm, all_options in plan.search.items() for options in all_options]
    entries = train_all(
        workspace, base, [(arm, single_arm(base.recipe, arm, options)) for arm, options in tried], plan.search_seeds, "search"
    )
    calls = [(workspace, base.cohorts, student, base.teacher, plan.goal) for e in entries for student in e.students]
    seen = iter(submit_all(validate_student, calls, title="search: validation"))
    shown = [[next(seen) for _ in entry.students] for entry in entries]
    found = {}
    for arm, all_options in plan.search.items():
        rows = [index for index, (name, _) in enumerate(tried) if name == arm]
        found[arm] = choose_configuration(all_options, [shown[row] for row in rows], criterion(base.recipe, arm))
    return found


def train_all(
    workspace: Workspace, setting: ExperimentSetting, named: Sequence[tuple[str, Recipe]], seeds: Sequence[int], title: str
) -> list[TrainedArm]:
    """Train variants of one arm each under every seed."""
    wanted = [Wanted(recipe, next(iter(recipe.arms)), seed) for _, recipe in named for seed in seeds]
    students = iter(_train(workspace, setting, wanted, title))
    return [TrainedArm(name, setting, recipe, tuple(next(students) for _ in seeds)) for name, recipe in named]


class Wanted(NamedTuple):
    """A student that is to be trained: an arm of a variant under a seed."""

    recipe: Recipe
    arm: str
    seed: int


def _train(workspace: Workspace, setting: ExperimentSetting, wanted: Sequence[Wanted], title: str) -> list[Checkpoint]:
    """Train students, those first that are the teachers of others."""
    above = [(one, Wanted(one.recipe, own.self_arm, one.seed)) for one in wanted if "self" in (own := one.recipe.arms[one.arm]).teachers]
    taught = iter(_train(workspace, setting, [teacher for _, teacher in above], title) if above else ())
    calls = []
    for recipe, arm, seed in wanted:
        # What others do not read must not train them again: each call has its own arm's teachers and knowledge.
        known = replace(setting.taught, students=(next(taught),)) if "self" in recipe.arms[arm].teachers else setting.taught
        spec, more = recipe.student_training(arm, seed), (Subset.TEACHER_TRAIN,) if recipe.arms[arm].out_of_fold else ()
        teachers = teachers_of(known, recipe, arm, seed)
        calls.append((workspace, spec, _of_student(setting, spec, *more), teachers, knowledge_for(known, recipe.arms[arm])))
    return submit_all(distill_student, with_start(workspace, setting, wanted, calls), title=title)


def with_start(workspace: Workspace, setting: ExperimentSetting, wanted: Sequence[Wanted], calls: Sequence[Call]) -> list[Call]:
    """Return calls of ``distill`` with the weights that those begin with whose arm asks for some."""
    asking = [place for place, (_, spec, *_more) in enumerate(calls) if spec.objective.init == "pretrained"]
    calls_of_starts = [(workspace, wanted[place].recipe, wanted[place].seed, setting.cohorts) for place in asking]
    starts = dict(zip(asking, submit_all(begin, calls_of_starts, title="starting weights") if calls_of_starts else (), strict=True))
    return [
        (place, spec if number not in starts else spec.model_copy(update={"start": starts[number]}), *more)
        for number, (place, spec, *more) in enumerate(calls)
    ]


def _of_student(setting: ExperimentSetting, spec: TrainingSpec, *more: str) -> CohortSet:
    """Return the cohorts that a student of a seed depends on: another seed more must not train it again."""
    learnt = Subset.learnt_from(spec.objective.cases, spec.seed)
    return setting.cohorts.only(learnt, Subset.UNLABELLED.of(spec.seed), *_selecting(spec), *more)


def _selecting(spec: TrainingSpec) -> tuple[str, ...]:
    """Return the cohorts that decide when a training with patience ends."""
    return () if spec.selection is None else (Subset.TEST, *VALIDATIONS)


def variants(recipe: Recipe, chosen: Mapping[str, Changes], more: Changes | None = None) -> list[tuple[str, Recipe]]:
    """Return every arm and every control as a recipe of its own, with what was chosen for it."""
    arms = [(arm, single_arm(recipe, arm, {**chosen.get(arm, {}), **(more or {})})) for arm in recipe.arms]
    controls = [
        (name, single_arm(recipe, arm, {**chosen.get(arm, {}), **(more or {}), "attribution_source": kind.value}, name=name))
        for name, (arm, kind) in with_controls(recipe).items()
    ]
    return [*arms, *controls]


@flow
def train_arms(workspace: Workspace, base: ExperimentSetting, chosen: Mapping[str, Changes]) -> list[TrainedArm]:
    """Train every arm and every control under every seed."""
    return train_all(workspace, base, variants(base.recipe, chosen), base.recipe.seeds, "arms")


@flow
def train_longer(
    workspace: Workspace, base: ExperimentSetting, chosen: Mapping[str, Changes]
) -> tuple[list[TrainedArm], dict[str, EpochSelection]]:
    """Train every arm and control for longer, choose each one's epoch, and return its students of that epoch."""
    plan = plan_of(base.recipe)
    if plan.plateau_epochs is None:
        return [], {}
    named = variants(base.recipe, chosen, {"student.fit.epochs": plan.plateau_epochs})
    looked_at = (validation_subset(base.cohorts), PRIMARIES[plan.primary])
    calls = [
        (workspace, spec, _of_student(base, spec, *looked_at), base.teacher, plan.goal, knowledge_for(base.taught, recipe.arms[name]))
        for name, recipe in named
        for seed in base.recipe.seeds
        for spec in (recipe.student_training(name, seed),)
    ]
    wanted = [Wanted(recipe, name, seed) for name, recipe in named for seed in base.recipe.seeds]
    series = iter(submit_all(train_series, with_start(workspace, base, wanted, calls), title="plateaus"))
    entries, epoch_selections = [], {}
    for name, recipe in named:
        of_arm = [next(series) for _ in base.recipe.seeds]
        epoch_selections[name] = choose_epoch(of_arm, criterion(base.recipe, ArmVariant.parse(name).arm))
        students = tuple(one.at(epoch_selections[name].epoch) for one in of_arm)
        entries.append(TrainedArm(str(ArmVariant.parse(name).at("plateau")), base, recipe, students))
    return entries, epoch_selections


@flow
def train_nulls(workspace: Workspace, base: ExperimentSetting, chosen: Mapping[str, Changes]) -> list[TrainedArm]:
    """Train the student alone again, from other initial weights: differences between these are chance."""
    plan = plan_of(base.recipe)
    alone = plan.baselines[0]
    named = [
        (f"null{k}", single_arm(renamed(base.recipe, f"{base.recipe.name}-null{k}"), alone, chosen.get(alone)))
        for k in range(1, plan.null_repetitions + 1)
    ]
    return [replace(entry, is_null=True) for entry in train_all(workspace, base, named, base.recipe.seeds, "null repetitions")]


@flow
def fine_tune_arm(workspace: Workspace, entries: Sequence[TrainedArm], plan: ExperimentPlan) -> tuple[list[TrainedArm], GapSummary | None]:
    """Train the students of one arm further, weighted by the gap to their teacher, and as long without weights."""
    if plan.gap is None:
        return [], None
    (base,) = [entry for entry in entries if entry.name == plan.gap.arm]
    setting, configs = base.setting, (plan.gap, plan.gap.model_copy(update={"strength": 0.0}))
    calls = [
        (workspace, base.recipe.student_training(one.arm, one.seed), setting.cohorts, setting.teacher, one, config, plan.goal)
        for config in configs
        for one in base.students
    ]
    runs = submit_all(fine_tune, calls, title="gap-weighted fine-tuning")
    summary = GapSummary(weighted=tuple(runs[: len(base.students)]), plain=tuple(runs[len(base.students) :]))
    named: tuple[tuple[Literal["gap", "longer"], tuple[GapFineTuningRun, ...]], ...] = (
        ("gap", summary.weighted),
        ("longer", summary.plain),
    )
    fine_tuned = [
        TrainedArm(
            str(ArmVariant(arm=base.name, continuation=suffix)), setting, base.recipe, tuple(r.rounds[r.chosen].checkpoint for r in group)
        )
        for suffix, group in named
    ]
    return fine_tuned, summary


@flow
def train_condition(
    workspace: Workspace, setting: ExperimentSetting, plan: ExperimentPlan, chosen: Mapping[str, Changes]
) -> list[TrainedArm]:
    """Train a condition's arms with what was chosen without it."""
    wanted = plan.conditions[setting.name].arms
    named = [(str(ArmVariant(arm=arm, setting=setting.name)), single_arm(setting.recipe, arm, chosen.get(arm))) for arm in wanted]
    return train_all(workspace, setting, named, setting.recipe.seeds, f"condition {setting.name}")


@flow
def score_all(workspace: Workspace, base: ExperimentSetting, results: TrainedArms, gates: dict[str, GateVerdict]) -> Scoreboard:
    """Evaluate everything that was trained and draw the verdicts."""
    plan = plan_of(base.recipe)
    settings = {entry.setting.name: entry.setting for entry in results.entries}
    teachers = [
        TrainedArm(str(ArmVariant(arm="teacher", setting=name)), setting, setting.recipe, (setting.teacher,))
        for name, setting in settings.items()
    ]
    evaluated = evaluate_entries(workspace, [*teachers, *results.entries, *results.nulls])
    scored = score_entries(workspace, [*teachers, *results.entries], results.nulls, evaluated, plan)
    chosen = Choices(searched=results.searched, epoch_selections=results.epoch_selections, gap=results.gap, gates=gates)
    return compose_board(base.recipe, plan, scored, {entry.name for entry in results.nulls}, chosen)


Evaluated = dict[str, tuple[tuple[Evaluation, ...], ...]]


@flow
def evaluate_entries(workspace: Workspace, entries: Sequence[TrainedArm]) -> Evaluated:
    """Evaluate every student on the test cohorts of its setting, and examine all but those of null repetitions."""
    calls = [(workspace, e.recipe.name, e.setting.cohorts, student, e.setting.teacher) for e in entries for student in e.students]
    examined = [call for entry, call in zip([e for e in entries for _ in e.students], calls, strict=True) if not entry.is_null]
    plain, close = iter(submit_all(evaluate_one, calls, title="evaluate")), iter(submit_all(examine_student, examined, title="examine"))
    return {e.name: tuple((next(plain),) if e.is_null else (next(plain), next(close)) for _ in e.students) for e in entries}


@flow
def score_entries(
    workspace: Workspace, entries: Sequence[TrainedArm], nulls: Sequence[TrainedArm], evaluated: Evaluated, plan: ExperimentPlan
) -> list[ArmFigures]:
    """Score every entry against those it is compared with, and null repetitions against the student alone."""
    names = [entry.name for entry in entries]
    calls = []
    for entry in (*entries, *nulls):
        wanted = plan.baselines[:1] if entry.is_null else compared_with(entry.name, names, plan.baselines)
        others = tuple((other, evaluated[other]) for other in wanted)
        variant = ArmVariant.parse(entry.name)
        alone = sibling(plan.baselines[0], variant, names)
        ceiling = plan.ceiling or str(ArmVariant(arm="teacher", setting=entry.setting.name))
        is_student = not entry.is_null and variant.arm != "teacher" and alone is not None
        reference = (evaluated[alone], evaluated[ceiling]) if is_student and alone else ()
        calls.append((workspace, entry.setting.cohorts, entry.name, evaluated[entry.name], others, reference, plan.primary))
    return submit_all(score, calls, title="scoreboard")
