"""What is measured of the maps of a cohort by one explainer: every measure that a recipe asks, per case."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from data_contracts import Entry, ExplainSpec, MeasureValue, SanityCheck, TaskKind
from medkd.attribution._attribute import attribute
from medkd.catalogue import MEASURES
from medkd.inference.predict import predict_logits
from medkd.measures._guided import Guided
from medkd.measures._neighbours import Neighbours
from medkd.measures._perturb import Perturbation, blurred
from medkd.targets import Target, class_logit, class_margin, lesion_margin, strongest_cell
from medkd.volumes.shift import shifted

#: Images near an image that measures of robustness look at: how many, and the largest change of a voxel (a hundredth of the window).
NOISY, NOISE = 4, 0.02
#: Before the name of a measure: its value on a shifted image, less that on the image itself.
SHIFTED = "off_distribution"


@dataclass(frozen=True)
class ExplanationQuery:
    """What is explained of a batch: images, targets (the teacher's answer, for both networks), lesion masks, class per case, number of classes.

    ``valid`` is False where images were padded, bool [n, *space]: what a map says there is no evidence of the image. None where nothing was.
    """

    images: Tensor
    target: Target
    masks: Tensor
    answer: Tensor
    task: TaskKind
    classes: int
    valid: Tensor | None = None

    def whole_and_parts(self) -> tuple[Target, list[tuple[float, Target]]]:
        """Return what is asked, and targets whose sum with signs it is: classes of a margin, or both halves of each region."""
        if self.task is TaskKind.CLASSIFICATION:
            return class_margin(self.answer), margin_parts(self.answer, self.classes)
        region = (self.answer > 0).to(torch.uint8)
        first = region.clone()
        first.flatten(1)[region.flatten(1).cumsum(1) > region.flatten(1).sum(1, keepdim=True) // 2] = 0
        return lesion_margin(region), [(1.0, lesion_margin(first)), (1.0, lesion_margin(region - first))]


def margin_parts(answer: Tensor, classes: int) -> list[tuple[float, Target]]:
    """Return the logits, with signs, whose sum is the margin of each case's class."""
    others = [((answer + step) % classes, -1.0 / (classes - 1)) for step in range(1, classes)]
    return [(1.0, class_logit(answer)), *((sign, class_logit(index)) for index, sign in others)]


def ask(teacher_network: nn.Module, images: Tensor, masks: Tensor, task: TaskKind, valid: Tensor | None = None) -> ExplanationQuery:
    """Return the question put to both networks: why the class (or the lesion, where images were not padded) that the teacher answered?"""
    logits = predict_logits(teacher_network, images)
    # A detector is asked about the cell that it scores highest: of one that is sure of nothing too.
    answer, classes = strongest_cell(logits) if task is TaskKind.DETECTION else logits.argmax(1), logits.shape[1]
    if valid is not None and task is TaskKind.SEGMENTATION:
        answer = answer * valid
    target = class_margin(answer) if task is TaskKind.CLASSIFICATION else lesion_margin((answer > 0).to(torch.uint8))
    return ExplanationQuery(images, target, masks, answer, task, classes, valid)


@dataclass(frozen=True)
class Networks:
    """Who is asked: the student, its teacher, and other trainings of the student (other seeds)."""

    student: nn.Module
    teacher: nn.Module
    siblings: tuple[nn.Module, ...] = ()


def measured(
    spec: ExplainSpec, choice: Entry, student_maps: Tensor, teacher_maps: Tensor, networks: Networks, query: ExplanationQuery
) -> dict[str, Tensor]:
    """Return everything that a recipe asks of an explainer's maps, per case, by the measure's key.

    Args:
        spec: its measures, and its shift.
        choice: the explainer.
        student_maps: the student's maps [n, *space].
        teacher_maps: the teacher's, of the same targets.
        networks: the two, and other trainings of the student where repeatability is asked.
        query: what was explained.
    """

    def explained(network: nn.Module, images: Tensor) -> Tensor:
        return attribute(network, images, query.target, explainer=choice.name, options=choice.options)

    values = compared(spec, student_maps, teacher_maps, networks.student, query)
    values |= _robust(spec, student_maps, query, lambda images: explained(networks.student, images))
    for one in _of_kind(spec, "repeated"):
        others = [explained(network, query.images) for network in networks.siblings]
        stacked = torch.stack(others, 1) if others else student_maps.new_zeros(len(student_maps), 0, *student_maps.shape[1:])
        values[key_of(one)] = MEASURES.bind(one.name, one.options)(student_maps, stacked)
    if spec.explain.shift is not None:
        other = replace(query, images=shifted(query.images, spec.explain.shift))
        maps = [explained(network, other.images) for network in (networks.student, networks.teacher)]
        values |= _lost(values, compared(spec, maps[0], maps[1], networks.student, other))
    return values


def measured_baseline(
    spec: ExplainSpec, make: Callable[[Tensor], Tensor], student: nn.Module, query: ExplanationQuery
) -> dict[str, Tensor]:
    """Return everything that can be measured of maps which know nothing of a network; ``make`` draws them from images."""
    values = compared(spec, make(query.images), None, student, query)
    if spec.explain.shift is not None:
        other = replace(query, images=shifted(query.images, spec.explain.shift))
        values |= _lost(values, compared(spec, make(other.images), None, student, other))
    return values


def compared(
    spec: ExplainSpec, student_maps: Tensor, teacher_maps: Tensor | None, model: nn.Module, query: ExplanationQuery
) -> dict[str, Tensor]:
    """Return the recipe's measures of the student's maps; those that compare with the teacher's where there are any."""
    if query.valid is not None and query.task is TaskKind.SEGMENTATION:
        # Of a classification, evidence in the padding is evidence: a student that looks there must be seen to.
        student_maps = student_maps * query.valid
        teacher_maps = None if teacher_maps is None else teacher_maps * query.valid
    values: dict[str, Tensor] = {}
    for choice in spec.explain.measures:
        entry, measure = MEASURES.entry(choice.name), MEASURES.bind(choice.name, {**choice.options, "spacing_mm": spec.task.spacing_mm})
        kind = entry.fact("KIND")
        if kind == "localisation":
            values[key_of(choice)] = measure(student_maps, query.masks)
        elif kind == "complexity":
            values[key_of(choice)] = measure(student_maps)
        elif kind == "agreement" and teacher_maps is not None:
            values[key_of(choice)] = measure(student_maps, teacher_maps)
        elif kind == "guided" and teacher_maps is not None:
            values[key_of(choice)] = measure(student_maps, Guided(teacher_maps, query.masks))
        elif kind == "faithfulness":
            values[key_of(choice)] = measure(student_maps, perturbation_of(model, query))
    return values


def _of_kind(spec: ExplainSpec, kind: str) -> list[Entry]:
    return [one for one in spec.explain.measures if MEASURES.entry(one.name).fact("KIND") == kind]


def _robust(spec: ExplainSpec, student_maps: Tensor, query: ExplanationQuery, explained: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """Return the recipe's measures of robustness: maps of images with a little uniform noise, the same for every explainer."""
    wanted = _of_kind(spec, "robustness")
    if not wanted:
        return {}
    generator = torch.Generator().manual_seed(0)
    changes = [NOISE * (2 * torch.rand(query.images.shape, generator=generator) - 1) for _ in range(NOISY)]
    maps = [explained(query.images + change) for change in changes]
    near = Neighbours(torch.stack(maps, 1), torch.stack([change.flatten(1).norm(dim=1) for change in changes], 1))
    return {key_of(one): MEASURES.bind(one.name, one.options)(student_maps, near) for one in wanted}


def _lost(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> dict[str, Tensor]:
    difference = MEASURES.load(SHIFTED)
    return {f"{SHIFTED}:{name}": difference(value, before[name]) for name, value in after.items()}


def key_of(choice: Entry) -> str:
    """Return the name of a measure with the options that tell it from others of its name."""
    return choice.name + (":" + ",".join(f"{name}={value}" for name, value in choice.options.items()) if choice.options else "")


def perturbation_of(model: nn.Module, query: ExplanationQuery) -> Perturbation:
    """Return what a faithfulness measure needs: the score of the answer, in [0, 1], deleted voxels blurred.

    A classifier's score is its probability of the explained class; a segmentation's is the mean probability of lesion against background over
    the explained lesion.
    """
    if query.task is TaskKind.CLASSIFICATION:
        return replace(class_perturbation(model, query.images, query.answer), mask=query.masks)
    inside = query.answer > 0

    def score(changed: Tensor, case: Tensor) -> Tensor:
        logits = predict_logits(model, changed)
        chosen = inside[case]
        lesion = logits[:, 1:].amax(1) - logits[:, 0]
        return (lesion.sigmoid() * chosen).flatten(1).sum(1) / chosen.flatten(1).sum(1).clamp_min(1)

    return Perturbation(score=score, image=query.images, baseline=blurred(query.images), mask=inside)


def class_perturbation(model: nn.Module, images: Tensor, answer: Tensor) -> Perturbation:
    """Return the perturbation of a classifier: its probability of the explained class, deleted pixels blurred."""

    def score(changed: Tensor, case: Tensor) -> Tensor:
        return predict_logits(model, changed).softmax(1).gather(1, answer[case][:, None])[:, 0]

    return Perturbation(score=score, image=images, baseline=blurred(images))


def check_of(name: str, value: Tensor | float | None, limit: float, undefined: str) -> SanityCheck:
    """Return the record of one test; a value that is missing or not a number has not been passed or failed."""
    number = None if value is None else float(value)
    if number is None or number != number:
        return SanityCheck.model_validate({"name": name, "value": None, "limit": limit, "passed": None, "reason": undefined})
    return SanityCheck.model_validate({"name": name, "value": number, "limit": limit, "passed": number <= limit})


def measure_value(name: str, value: Tensor | float) -> MeasureValue:
    """Return the storable form of one measured value; NaN becomes "undefined" with the measure's own convention as reason.

    A loss on shifted images is better or worse as its measure is, in the same unit.
    """
    known = name.removeprefix(f"{SHIFTED}:").partition(":")[0]
    entry, number = MEASURES.entry(known), float(value)
    defined = number == number
    return MeasureValue(
        name=name,
        value=number if defined else None,
        higher_is_better=entry.fact("HIGHER_IS_BETTER"),
        unit=entry.fact("UNIT", ""),
        reason="" if defined else str(entry.fact("EMPTY", "undefined")),
    )
