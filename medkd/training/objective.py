"""A weighted sum of terms: bound to their options, to pairs of layers, and to the course of training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from data_contracts import LearnedTemperature, LossTerm, RecipeError
from medkd.catalogue import LOSSES
from medkd.distillation._discriminator import CellDiscriminator
from medkd.knowledge.interface import LAST, Knowledge, knowledge_of_head
from medkd.knowledge.source import KnowledgeSource, layer_shape
from medkd.models._heads import sample_of_cases, trace_of_head
from medkd.trace import Sample, Trace, layer_map_of
from medkd.training.adapters import DistillationAdapters, Temperature, projection, require_matching, resolve_pairs, temperature_of
from medkd.training.coarse import on_teachers_grid
from medkd.training.schedule import scheduled

LossFunction = Callable[..., Tensor]


#: What a loss may need of a teacher that is not its answer.
EXPLANATIONS = frozenset({"explainer", "head", "features", "responses"})


@dataclass(frozen=True)
class BoundTerm:
    """A term whose options have been checked against its signature.

    ``label`` is its name in journals: that of the loss, with a number where an objective has it several times.
    """

    label: str
    spec: LossTerm
    function: LossFunction
    needs: frozenset[str]

    @property
    def own_layers(self) -> tuple[str, str]:
        """Return the layers (student's, teacher's) that its options name."""
        options = LOSSES.entry(self.spec.loss).options()
        student_layer, teacher_layer = (
            str(self.spec.options.get(name, options[name].default if name in options else LAST)) for name in ("layer", "teacher_layer")
        )
        return student_layer, teacher_layer

    @property
    def is_task(self) -> bool:
        """Return whether it is what students are asked to do, rather than how a teacher does it."""
        return "labels" in self.needs and not self.needs & {"teacher", "explainer", "masks"}

    @property
    def is_feedback(self) -> bool:
        """Return whether it reads what readers said of an earlier student's maps."""
        return "forbidden" in self.needs


class TermValue(NamedTuple):
    """A term's weight at a point of training, and its value."""

    term: BoundTerm
    weight: float
    value: Tensor


class Objective:
    """A weighted sum of bound terms.

    Args:
        terms: terms of a recipe.
        influence_cap: largest share of terms that read feedback in the loss of a batch; None leaves them as they are.
    """

    def __init__(self, terms: tuple[LossTerm, ...], *, influence_cap: float | None = None) -> None:
        self.influence_cap = influence_cap
        names = [term.loss for term in terms]
        labels = [name if names[:index].count(name) == 0 else f"{name}_{names[:index].count(name) + 1}" for index, name in enumerate(names)]
        self.terms = tuple(_bind_term(term, label) for term, label in zip(terms, labels, strict=True))

    @property
    def needs(self) -> frozenset[str]:
        """Return the union of what the terms need."""
        return frozenset().union(*(term.needs for term in self.terms))

    def own_layers(self) -> tuple[str, ...]:
        """Return the student's layers that terms without a teacher read: nobody pairs them with another's."""
        alone = [term for term in self.terms if "features" in term.needs and "teacher" not in term.needs]
        return tuple(dict.fromkeys(term.own_layers[0] for term in alone))

    def __call__(
        self,
        student: Trace,
        teacher: Knowledge | None,
        sample: Sample,
        adapters: DistillationAdapters | None = None,
        *,
        share: float = 0.0,
        step: int = 0,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum and each term's unweighted value (detached); arguments as in :meth:`evaluate`."""
        total, values = student.logits.new_zeros((), dtype=student.logits.float().dtype), {}
        for term, weight, value in self.evaluate(student, teacher, sample, adapters, share=share, step=step):
            total = total + weight * value
            values[term.label] = value.detach()
        return total, values

    def evaluate(
        self,
        student: Trace,
        teacher: Knowledge | None,
        sample: Sample,
        adapters: DistillationAdapters | None = None,
        *,
        share: float = 0.0,
        step: int = 0,
    ) -> Iterator[TermValue]:
        """Yield the terms of one step with their scheduled weights.

        Args:
            student: trace of the student.
            teacher: answers about the batch.
            sample: the batch.
            adapters: those of :meth:`connect`.
            share: of training that is done, for schedules.
            step: number of the step: a term that is asked for every few steps is left out in the others.
        """
        adapters = adapters or DistillationAdapters()
        there, known = on_teachers_grid(student, teacher, sample) if "teacher" in self.needs else (student, sample)
        for term in self.terms:
            if step % term.spec.every:
                continue
            compares = "teacher" in term.needs
            weight = term.spec.weight * term.spec.every * scheduled(term.spec.schedule, share)
            own: dict[str, Any] = {}
            temperature = temperature_of(term.spec.temperature, adapters, term.label, share)
            if temperature is not None:
                own["temperature"] = temperature
            seen = (there, teacher, _weighted(known, term)) if compares else (student, teacher, _weighted(sample, term))
            if term.spec.head == "classification":
                seen = _of_cases(student, teacher if compares else None, _weighted(sample, term), term)
            yield TermValue(term, weight, _over_pairs(term, *seen, adapters, own))

    def connect(self, student: nn.Module, source: KnowledgeSource | None, image: Tensor) -> DistillationAdapters:
        """Return what connects the student to its teacher: pairs of layers, projections of the right size, learned temperatures, discriminators.

        Sizes are read off a dry forward pass of one image [1, channel, *space]; nothing of the networks changes.

        Raises:
            KnowledgeError: ``TAP_SHAPES`` when two layers cannot be compared, naming both.
            ExplanationError: ``LAYER_UNKNOWN`` when there is no such layer.
        """
        pairs: dict[str, tuple[tuple[str, str], ...]] = {}
        projectors: dict[str, nn.Module] = {}
        discriminators: dict[str, nn.Module] = {}
        for term in self.terms:
            if source is None or not {"features", "teacher"} <= term.needs:
                continue
            student_shapes, teacher_shapes = _Shapes(student, image), _ShapesOf(source, image)
            pairs[term.label] = resolve_pairs(term.spec.feature_layers, term.own_layers, student_shapes, teacher_shapes)
            for index, pair in enumerate(pairs[term.label]):
                require_matching(term.label, pair, student_shapes[pair[0]], teacher_shapes[pair[1]])
                if "projector" in term.needs:
                    projectors[f"{term.label}:{index}"] = projection(student_shapes[pair[0]], teacher_shapes[pair[1]])
                if "discriminator" in term.needs:
                    discriminators[f"{term.label}:{index}"] = CellDiscriminator(teacher_shapes[pair[1]][1])
        learned = {term.label: term.spec.temperature for term in self.terms if isinstance(term.spec.temperature, LearnedTemperature)}
        adapters = DistillationAdapters(pairs, projectors, {label: Temperature(spec) for label, spec in learned.items()}, discriminators)
        if source is not None:
            source.ask_for(adapters.teacher_layers())
        return adapters


class _Shapes(Mapping[str, tuple[int, ...]]):
    """Shapes that a network's layers put out, looked up when they are asked for."""

    def __init__(self, network: nn.Module, image: Tensor) -> None:
        self._network, self._image = network, image

    def __getitem__(self, layer: str) -> tuple[int, ...]:
        return layer_shape(self._network, layer, self._image)

    def __iter__(self) -> Iterator[str]:
        return iter(layer_map_of(self._network).feature_layers)

    def __len__(self) -> int:
        return len(layer_map_of(self._network).feature_layers)


class _ShapesOf(Mapping[str, tuple[int, ...]]):
    """The same of a teacher, whatever it is made of."""

    def __init__(self, source: KnowledgeSource, image: Tensor) -> None:
        self._source, self._image = source, image

    def __getitem__(self, layer: str) -> tuple[int, ...]:
        return self._source.shape(layer, self._image)

    def __iter__(self) -> Iterator[str]:
        return iter(self._source.layers())

    def __len__(self) -> int:
        return len(self._source.layers())


def _over_pairs(
    term: BoundTerm, student: Trace, teacher: Knowledge | None, sample: Sample, adapters: DistillationAdapters, own: dict[str, Any]
) -> Tensor:
    """Return a term's value, the mean over its pairs of layers where it has any."""
    pairs = adapters.pairs.get(term.label)
    if pairs is None:
        return term.function(student, teacher, sample, **own)
    values = []
    for index, (student_layer, teacher_layer) in enumerate(pairs):
        key = f"{term.label}:{index}"
        # A loss that names no layers is never handed any: its options already say what it compares.
        layers = {} if (student_layer, teacher_layer) == term.own_layers else {"layer": student_layer, "teacher_layer": teacher_layer}
        values.append(term.function(student, teacher, sample, **own, **adapters.modules_of(key), **layers))
    return torch.stack(values).mean()


def _of_cases(student: Trace, teacher: Knowledge | None, sample: Sample, term: BoundTerm) -> tuple[Trace, Knowledge | None, Sample]:
    """Return what a term sees that is about the head that classifies: that head's answers, the teacher's of it, and the labels of cases."""
    head = str(term.spec.head)
    return trace_of_head(student, head), knowledge_of_head(teacher, head), sample_of_cases(sample)


def reads_explanations(needs: frozenset[str]) -> bool:
    """Return whether terms with these needs read a teacher's explanations, so that a control can replace them."""
    return "teacher" in needs and bool(needs & EXPLANATIONS)


def _weighted(sample: Sample, term: BoundTerm) -> Sample:
    """Return a batch as a term sees it: maps that readers did not accept are not copied, and what they forbade counts whatever the label's weight."""
    if sample.explanation_weights is None:
        return sample
    if term.is_feedback:
        return replace(sample, weights=None)
    return replace(sample, weights=sample.explanation_weights) if reads_explanations(term.needs) else sample


def _bind_term(term: LossTerm, label: str) -> BoundTerm:
    entry = LOSSES.entry(term.loss)
    needs = entry.fact("NEEDS", frozenset())
    if term.feature_layers is not None and not {"layer", "teacher_layer"} <= set(entry.options()):
        raise RecipeError("RECIPE_NEEDS", f"expected a loss over features for taps, {term.loss!r} compares none")
    if term.temperature is not None and "temperature" not in entry.options():
        raise RecipeError("RECIPE_NEEDS", f"expected a loss with a temperature to change it over training, {term.loss!r} has none")
    return BoundTerm(label, term, LOSSES.bind(term.loss, term.options), needs)
