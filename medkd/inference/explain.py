"""Explain a cohort: every explainer of the recipe, the student beside its teacher, each map measured and sanity-checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from data_contracts import (
    Checkpoint,
    CohortSet,
    Entry,
    ExplainerVerdict,
    ExplanationBundle,
    ExplanationError,
    ExplanationRef,
    Figure,
    MeasureValue,
    MethodRecord,
    Recipe,
    Ref,
    SanityCheck,
    TargetRecord,
    TaskKind,
)
from medkd.attribution._attribute import attribute
from medkd.catalogue import EXPLAINERS, MEASURES
from medkd.evaluation.bootstrap import bootstrap_figure, mean_of
from medkd.evaluation.evaluate import map_purpose
from medkd.explanations.baselines import BASELINES
from medkd.explanations.preview import MOST_PREVIEWS, render_preview
from medkd.inference.predict import predict_logits
from medkd.measures import additivity as _additivity
from medkd.measures import completeness as _completeness
from medkd.measures._guided import Guided
from medkd.measures._neighbours import Neighbours
from medkd.measures._perturb import Perturbation, blurred
from medkd.measures.randomisation import FAILS_ABOVE
from medkd.models._build import build_network
from medkd.targets import Target, class_logit, class_margin, lesion_margin
from medkd.training.train import load_network
from medkd.volumes.open_cohort import open_for_maps
from medkd.volumes.store import write_bytes
from medkd.volumes.tensor_cohort import TensorCohort
from medkd.workspace import Workspace, stage

#: Cases that the tests of an explainer take.
TESTED = 8
#: Images near an image that measures of robustness look at: how many, and the largest change of a voxel (a hundredth of the window).
NOISY, NOISE = 4, 0.02


@dataclass(frozen=True)
class Question:
    """What is explained of a batch: images, targets (the teacher's answer, for both networks), lesion masks, class per case, number of classes."""

    images: Tensor
    target: Target
    masks: Tensor
    answer: Tensor
    task: TaskKind
    classes: int

    def whole_and_parts(self) -> tuple[Target, list[tuple[float, Target]]]:
        """Return what is asked, and targets whose sum with signs it is: classes of a margin, or both halves of each region."""
        if self.task is TaskKind.CLASSIFICATION:
            others = [((self.answer + step) % self.classes, -1.0 / (self.classes - 1)) for step in range(1, self.classes)]
            parts: list[tuple[float, Target]] = [(1.0, class_logit(self.answer)), *((sign, class_logit(index)) for index, sign in others)]
            return class_margin(self.answer), parts
        region = (self.answer > 0).to(torch.uint8)
        first = region.clone()
        first.flatten(1)[region.flatten(1).cumsum(1) > region.flatten(1).sum(1, keepdim=True) // 2] = 0
        return lesion_margin(region), [(1.0, lesion_margin(first)), (1.0, lesion_margin(region - first))]


@stage
def explain_cohort(workspace: Workspace, recipe: Recipe, cohorts: CohortSet, student: Checkpoint, teacher: Checkpoint) -> ExplanationBundle:
    """Explain the first cases of the map cohort by the student and, for comparison, by the teacher."""
    cohort, question, model, guide = _asked(workspace, recipe, cohorts, student, teacher)
    maps = _maps(recipe, question, model, guide)
    values: dict[str, dict[str, Tensor]] = {}
    for wish in recipe.explain.explainers:
        mine = maps[f"student/{wish.name}"]
        values[wish.name] = _measure(recipe, mine, maps[f"teacher/{wish.name}"], model, question)
        values[wish.name] |= _robust(recipe, wish, mine, model, question)
        if recipe.explain.randomisation:
            values[wish.name]["randomisation"] = _randomised(student, mine, question, wish)
    for name, make in BASELINES.items():
        values[name] = _measure(recipe, make(cohort.images), None, model, question)
    key = f"explanations/{recipe.name}/{student.arm}-{student.seed}"
    packed = workspace.store.write_tensors(f"{key}.safetensors", maps)
    verdicts = tuple(_verdict(wish, question, model, maps[f"student/{wish.name}"], values[wish.name]) for wish in recipe.explain.explainers)
    failing = tuple(verdict.explainer for verdict in verdicts if not verdict.trusted)
    asked = {"recipe": recipe, "cohorts": cohorts, "student": student, "teacher": teacher}
    request = json.dumps({name: json.loads(record.canonical_json()) for name, record in asked.items()}, sort_keys=True)
    write_bytes(workspace.store.root / f"{key}.request.json", request.encode())
    figures = {f"{explainer}/{name}": _figure(value, cohort) for explainer, named in values.items() for name, value in named.items()}
    records = [
        _record(cohort, row, wish, student, packed, values[wish.name], question)
        for wish in recipe.explain.explainers
        for row in range(len(cohort))
    ]
    return ExplanationBundle(
        subject=f"{recipe.name}/{student.arm}-{student.seed}",
        weights_digest=student.weights_digest,
        teacher_digest=teacher.weights_digest,
        explanations=tuple(records),
        figures={name: figure for name, figure in figures.items() if figure is not None},
        not_to_be_trusted=failing,
        verdicts=verdicts,
        previews=_previews(workspace, key, recipe, cohort, maps, verdicts),
        request=workspace.store.refer(f"{key}.request.json"),
        threads=torch.get_num_threads(),
    )


def replay_bundle(workspace: Workspace, bundle: ExplanationBundle) -> dict[str, float]:
    """Make the maps of a bundle again from its records and return how far they differ: per map that is not the same bits, relative.

    Args:
        workspace: whose store holds the cohorts, the weights and the maps.
        bundle: with a ``request``.

    Raises:
        ExplanationError: ``REPLAY_REQUEST`` for a bundle of a version that kept none.
        StoreError: when something that the maps were made from is gone or altered.
    """
    if bundle.request is None or not workspace.store.verify(bundle.request):
        raise ExplanationError(
            "REPLAY_REQUEST", f"expected the records that the maps of {bundle.subject} were made from, they are not there"
        )
    told = json.loads(workspace.store.path(bundle.request).read_text(encoding="utf-8"))
    recipe, cohorts = Recipe.model_validate(told["recipe"]), CohortSet.model_validate(told["cohorts"])
    student, teacher = Checkpoint.model_validate(told["student"]), Checkpoint.model_validate(told["teacher"])
    threads = torch.get_num_threads()
    torch.set_num_threads(bundle.threads)
    try:
        _, question, model, guide = _asked(workspace, recipe, cohorts, student, teacher)
        again = _maps(recipe, question, model, guide)
    finally:
        torch.set_num_threads(threads)
    kept = workspace.store.read_tensors(bundle.explanations[0].array)
    return {
        name: float((own - again[name]).abs().max() / own.abs().max().clamp_min(1e-30))
        for name, own in kept.items()
        if not torch.equal(own, again[name])
    }


def _asked(
    workspace: Workspace, recipe: Recipe, cohorts: CohortSet, student: Checkpoint, teacher: Checkpoint
) -> tuple[TensorCohort, Question, nn.Module, nn.Module]:
    """Return the cases, what is asked of them, and both networks."""
    cohort = open_for_maps(cohorts, map_purpose(cohorts), workspace.store, recipe.task)
    cohort = cohort.select(torch.arange(min(recipe.explain.cases, len(cohort))))
    model, guide = load_network(workspace, student), load_network(workspace, teacher)
    return cohort, ask(guide, cohort, recipe.task.kind), model, guide


def _maps(recipe: Recipe, question: Question, model: nn.Module, guide: nn.Module) -> dict[str, Tensor]:
    """Return the maps by ``ROLE/EXPLAINER``, [n, *space]."""
    found = {}
    for wish in recipe.explain.explainers:
        for role, network in (("student", model), ("teacher", guide)):
            found[f"{role}/{wish.name}"] = attribute(network, question.images, question.target, explainer=wish.name, options=wish.options)
    return found


def _previews(
    workspace: Workspace, key: str, recipe: Recipe, cohort: TensorCohort, maps: Mapping[str, Tensor], verdicts: tuple[ExplainerVerdict, ...]
) -> tuple[Ref, ...]:
    """Write pictures of the first cases, every explainer of a case before the next case."""
    shown = [(row, wish.name) for row in range(len(cohort)) for wish in recipe.explain.explainers][:MOST_PREVIEWS]
    failed = {one.explainer: [check.name for check in one.checks if check.passed is False] for one in verdicts}
    refs = []
    for row, explainer in shown:
        # A picture is a volume of one slice.
        image, mask = (one if one.ndim == 3 else one[None] for one in (cohort.images[row, 0], cohort.masks[row]))
        both = {role: maps[f"{role}/{explainer}"][row] for role in ("student", "teacher")}
        payload = render_preview(
            image,
            mask,
            {role: one if one.ndim == 3 else one[None] for role, one in both.items()},
            int(mask.flatten(1).sum(1).argmax()),
            title=f"{cohort.cases[row].case_key}, {explainer}",
            note=f"NOT TO BE TRUSTED HERE: fails {', '.join(failed[explainer])}" if failed[explainer] else "",
        )
        name = f"{key}-previews/{row:02d}-{explainer}.png"
        write_bytes(workspace.store.root / name, payload)
        refs.append(workspace.store.refer(name))
    return tuple(refs)


def ask(guide: nn.Module, cohort: TensorCohort, task: TaskKind) -> Question:
    """Return the question put to both networks: why the class (or the lesion) that the teacher answered?"""
    logits = predict_logits(guide, cohort.images)
    answer, classes = logits.argmax(1), logits.shape[1]
    target = class_margin(answer) if task is TaskKind.CLASSIFICATION else lesion_margin((answer > 0).to(torch.uint8))
    return Question(cohort.images, target, cohort.masks, answer, task, classes)


def _verdict(wish: Entry, question: Question, model: nn.Module, mine: Tensor, values: Mapping[str, Tensor]) -> ExplainerVerdict:
    """Test an explainer on the first cases: the median over them counts, the largest where rounding alone may differ."""
    entry, few = EXPLAINERS.entry(wish.name), min(TESTED, len(mine))
    some = replace(question, images=question.images[:few], answer=question.answer[:few])

    def explained(target: Target) -> Tensor:
        return attribute(model, some.images, target, explainer=wish.name, options=wish.options)

    whole, parts = some.whole_and_parts()
    median = values["randomisation"].nanmedian() if "randomisation" in values else None
    checks = [check_of("randomisation", median, FAILS_ABOVE, "not asked, or a constant map")]
    if entry.fact("COMPLETE"):
        plain = torch.full_like(some.images, float(wish.options.get("baseline", entry.options()["baseline"].default)))
        gap = whole(predict_logits(model, some.images)) - whole(predict_logits(model, plain))
        error = MEASURES.load("completeness")(mine[:few], gap).nanmedian()
        checks.append(check_of("completeness", error, _completeness.FAILS_ABOVE, "the baseline scores as the image does"))
    if entry.fact("ADDITIVE"):
        summed = torch.stack([sign * explained(part) for sign, part in parts]).sum(0)
        error = MEASURES.load("additivity")(mine[:few], summed)
        worst = error[~error.isnan()].amax() if bool((~error.isnan()).any()) else None
        checks.append(check_of("additivity", worst, _additivity.FAILS_ABOVE, "maps of zeros"))
    return ExplainerVerdict(explainer=wish.name, checks=tuple(checks), trusted=all(check.passed is not False for check in checks))


def check_of(name: str, value: Tensor | float | None, limit: float, undefined: str) -> SanityCheck:
    """Return the record of one test; a value that is missing or not a number has not been passed or failed."""
    number = None if value is None else float(value)
    if number is None or number != number:
        return SanityCheck.model_validate({"name": name, "value": None, "limit": limit, "passed": None, "reason": undefined})
    return SanityCheck.model_validate({"name": name, "value": number, "limit": limit, "passed": number <= limit})


def fails_randomisation(values: Mapping[str, Tensor]) -> bool:
    """Return whether an explainer's maps stay alike after its network's weights were drawn anew (median over cases)."""
    similarity = values.get("randomisation")
    return similarity is not None and bool(similarity.nanmedian() > FAILS_ABOVE)


def _measure(recipe: Recipe, mine: Tensor, theirs: Tensor | None, model: nn.Module, question: Question) -> dict[str, Tensor]:
    """Return the recipe's measures of the student's maps; those that compare with the teacher's where there are any."""
    values: dict[str, Tensor] = {}
    for wish in recipe.explain.measures:
        entry, measure = MEASURES.entry(wish.name), MEASURES.bind(wish.name, {**wish.options, "spacing_mm": recipe.task.spacing_mm})
        kind = entry.fact("KIND")
        if kind == "localisation":
            values[_key(wish)] = measure(mine, question.masks)
        elif kind == "complexity":
            values[_key(wish)] = measure(mine)
        elif kind == "agreement" and theirs is not None:
            values[_key(wish)] = measure(mine, theirs)
        elif kind == "guided" and theirs is not None:
            values[_key(wish)] = measure(mine, Guided(theirs, question.masks))
        elif kind == "faithfulness":
            values[_key(wish)] = measure(mine, perturbation_of(model, question))
    return values


def _robust(recipe: Recipe, wish: Entry, mine: Tensor, model: nn.Module, question: Question) -> dict[str, Tensor]:
    """Return the recipe's measures of robustness: maps of images with a little uniform noise, the same for every explainer."""
    asked = [one for one in recipe.explain.measures if MEASURES.entry(one.name).fact("KIND") == "robustness"]
    if not asked:
        return {}
    generator = torch.Generator().manual_seed(0)
    changes = [NOISE * (2 * torch.rand(question.images.shape, generator=generator) - 1) for _ in range(NOISY)]
    maps = [attribute(model, question.images + change, question.target, explainer=wish.name, options=wish.options) for change in changes]
    near = Neighbours(torch.stack(maps, 1), torch.stack([change.flatten(1).norm(dim=1) for change in changes], 1))
    return {_key(one): MEASURES.bind(one.name, one.options)(mine, near) for one in asked}


def _key(wish: Entry) -> str:
    """Return the name of a measure with the options that tell it from others of its name."""
    return wish.name + (":" + ",".join(f"{name}={value}" for name, value in wish.options.items()) if wish.options else "")


def perturbation_of(model: nn.Module, question: Question) -> Perturbation:
    """Return what a faithfulness measure needs: the score of the answer, in [0, 1], deleted voxels blurred.

    A classifier's score is its probability of the explained class; a segmentation's is the mean probability of lesion against background over
    the explained lesion.
    """
    if question.task is TaskKind.CLASSIFICATION:
        return replace(class_perturbation(model, question.images, question.answer), mask=question.masks)
    inside = question.answer > 0

    def score(changed: Tensor, case: Tensor) -> Tensor:
        logits = predict_logits(model, changed)
        chosen = inside[case]
        lesion = logits[:, 1:].amax(1) - logits[:, 0]
        return (lesion.sigmoid() * chosen).flatten(1).sum(1) / chosen.flatten(1).sum(1).clamp_min(1)

    return Perturbation(score=score, image=question.images, baseline=blurred(question.images), mask=inside)


def class_perturbation(model: nn.Module, images: Tensor, answer: Tensor) -> Perturbation:
    """Return the perturbation of a classifier: its probability of the explained class, deleted pixels blurred."""

    def score(changed: Tensor, case: Tensor) -> Tensor:
        return predict_logits(model, changed).softmax(1).gather(1, answer[case][:, None])[:, 0]

    return Perturbation(score=score, image=images, baseline=blurred(images))


def _randomised(student: Checkpoint, mine: Tensor, question: Question, wish: Entry) -> Tensor:
    """Compare with the maps of the same architecture under weights that were never trained."""
    network = build_network(student.network, seed=2**31 + student.seed).eval()
    other = attribute(network, question.images, question.target, explainer=wish.name, options=wish.options)
    value: Tensor = MEASURES.load("randomisation")(mine, other)
    return value


def _figure(values: Tensor, cohort: TensorCohort) -> Figure | None:
    """Return the figure of a measure, or None where it is undefined for every case."""
    array = values.double().numpy()[None]
    if np.all(np.isnan(array)):
        return None
    return bootstrap_figure(mean_of(array), cohort.patients(), missing=int(np.isnan(array).sum()))


def _record(
    cohort: TensorCohort, row: int, wish: Entry, student: Checkpoint, packed: Ref, values: Mapping[str, Tensor], question: Question
) -> ExplanationRef:
    entry, target = EXPLAINERS.entry(wish.name), question.target.record()
    return ExplanationRef(
        case_key=cohort.cases[row].case_key,
        source_digest=cohort.cases[row].pixel_sha256 or hashlib.sha256(cohort.images[row].numpy().tobytes()).hexdigest(),
        model=f"{student.arm}-{student.seed}",
        model_role="student",
        weights_digest=student.weights_digest,
        method=MethodRecord(
            explainer=wish.name,
            options=wish.options,
            signed=entry.fact("SIGNED", True),
            passes_randomisation=not fails_randomisation(values),
        ),
        target=TargetRecord(
            kind=target.kind,
            options={**target.options, **({"index": int(question.answer[row])} if question.answer.ndim == 1 else {})},
            mask_sha256=target.mask_sha256,
        ),
        array=packed,
        tensor=f"student/{wish.name}",
        shape=tuple(cohort.images.shape[2:]),
        measures=tuple(measure_value(name, value[row]) for name, value in values.items()),
    )


def measure_value(name: str, value: Tensor | float) -> MeasureValue:
    """Return the storable form of one measured value; NaN becomes "undefined" with the measure's own convention as reason."""
    entry, number = MEASURES.entry(name.partition(":")[0]), float(value)
    defined = number == number
    return MeasureValue(
        name=name,
        value=number if defined else None,
        higher_is_better=entry.fact("HIGHER_IS_BETTER"),
        unit=entry.fact("UNIT", ""),
        reason="" if defined else str(entry.fact("EMPTY", "undefined")),
    )
