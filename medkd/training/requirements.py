"""What an arm reads of its teacher, known before anything is trained or extracted."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field

import torch
from torch import nn

from data_contracts import Arm, Task, TaskKind
from medkd.catalogue import LOSSES, explainer_of
from medkd.knowledge.source import KnowledgeSource
from medkd.training.balance import GRID
from medkd.training.objective import BoundTerm, Objective


@dataclass
class Requirements:
    """What training reads of a teacher: layers with their cells, explainers with their cells."""

    logits: bool = False
    layers: dict[str, int] = field(default_factory=dict)
    maps: dict[str, int] = field(default_factory=dict)

    def parts(self) -> tuple[str, ...]:
        """Return the parts of an entry, as a store names them."""
        logits = ("logits",) if self.logits else ()
        return (*logits, *(f"features/{layer}" for layer in self.layers), *(f"maps/{explainer}" for explainer in self.maps))


def requirements_of(arm: Arm, task: Task, student: nn.Module, source: KnowledgeSource) -> Requirements:
    """Return what an arm's terms will read, pairs of layers resolved between student and teacher.

    Raises:
        KnowledgeError: ``TAP_SHAPES`` or ``KNOWLEDGE_MISSING`` as :meth:`Objective.connect`.
    """
    objective, needed = Objective(arm.terms), Requirements()
    adapters = objective.connect(student, source, torch.zeros(1, task.in_channels, *task.image_size))
    for term in objective.terms:
        if "teacher" not in term.needs:
            continue
        needed.logits = True
        for _, layer in adapters.pairs.get(term.label, ()):
            needed.layers[layer] = max(needed.layers.get(layer, 0), _cells(term))
        if term.needs & {"explainer", "head"}:
            _want_map(needed, explainer_of(term.spec), _cells(term), task)
    if arm.balance is not None and (arm.balance.agreement_weight or arm.balance.agreement_rate):
        needed.logits = True
        _want_map(needed, "cam", GRID, task)
    return needed


def _want_map(needed: Requirements, explainer: str, cells: int, task: Task) -> None:
    if explainer == "cam" and task.kind is TaskKind.SEGMENTATION:
        return  # the class maps of a segmentation follow from its logits
    needed.maps[explainer] = max(needed.maps.get(explainer, 0), cells)


def _cells(term: BoundTerm) -> int:
    """Return the grid that a term compares on: its option, or the default of its signature."""
    if "grid" in term.spec.options:
        return int(str(term.spec.options["grid"]))
    parameter = LOSSES.entry(term.spec.loss).options().get("grid")
    return 8 if parameter is None or parameter.default is inspect.Parameter.empty else int(parameter.default)
