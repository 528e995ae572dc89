"""What a channel is worth, by its weights, by the task, or by the explanation that it carries; all are judged before any is removed.

A channel c is thought of with a gate g_c, 1 while it is there: the factor of the columns by which other layers read it. Removing it is g_c = 0, whatever
normalisation and rectifiers lie before those layers. With ``dL/dg_c`` = sum over these columns of weight times gradient, no gate has to be built:

- ``magnitude``: the Euclidean norm of all weights of the channel, in every layer of its group.
- ``taylor``: |dL/dg_c|, the change of the objective L to first order (Molchanov et al. 2019, 1906.10771), the root of its mean square over batches.
- ``attribution``: the change of the attribution transfer A = 1 - cos(m, t) between the map m of the network and t of the one it is distilled from.
  To first order alone that is blind where it matters most: at A's minimum (a network compared with itself) every slope is zero. Only the *map* is
  taken to be linear in the gate, m(0) = m - d with d = dm/dg_c, and A is kept as it is. With c = cos(m, t) and the parts of d in units of |m|,
  q = <m, d> / |m|^2, p = <d, t> / |m||t| and e = |d|^2 / |m|^2,

      A(0) - A(1) = c - (c - p) / sqrt(1 - 2 q + e).

  q is the slope of log |m|; p follows from the slope of the loss ``attribution_transfer`` itself, dA/dg_c = q c - p; e costs one backward pass per
  probe instead of one per cell: for random signs r, the mean of (d<r, m>/dg_c)^2 is |d|^2 (Hutchinson 1989). All of it is summed up case by case.
  The magnitude counts: a channel whose removal alone turns the map towards the other is one that moves it much, and half of such channels removed
  together moved it anywhere (measured, see README). To it the task's ``taylor`` is added, each in units of its mean magnitude over all channels
  of the network, so that a channel goes first which neither the answer nor its reason needs.

That compression should keep attributions is Park et al. 2020 (NeurIPS, 2010.15054), who add a distance of maps to the training after it; that channels
are *chosen* by the maps' change, and the formula, are ours.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from medkd.catalogue import EXPLAINERS
from medkd.compression.channel_groups import ChannelGroup, reading
from medkd.compression.channel_masks import dense_weight
from medkd.compression.judging_data import JudgingData
from medkd.distillation._reduce import pooled
from medkd.distillation.attribution_transfer import attribution_transfer
from medkd.knowledge.source import KnowledgeSource
from medkd.knowledge.targets import teacher_target
from medkd.seeds import derive_seed
from medkd.trace import Sample, forked_rng, layer_map_of, running_statistics, trace
from medkd.training.objective import Objective
from medkd.training.step import DistillationStep, StepBatch

Importance = Literal["magnitude", "taylor", "attribution"]
_TINY = 1e-12


def channel_importance(kind: Importance, network: nn.Module, groups: Sequence[ChannelGroup], data: JudgingData | None) -> dict[str, Tensor]:
    """Return what each channel of each group is worth, float64 [channels] by the group's name; the least go first.

    The network is asked with its running statistics; nothing of it changes, gradients included.

    Args:
        kind: what is judged by.
        network: that the groups are of; its channels may be masked.
        groups: of ``find_channel_groups``.
        data: training cases; None for ``magnitude``, which asks nothing.

    Raises:
        ValueError: without data where there must be some.
    """
    if kind == "magnitude":
        return {group.name: _norms(network, group) for group in groups}
    if data is None:
        raise ValueError(f"expected training cases to judge channels by {kind}, got None")
    # In training by bf16 it lies channels-last, and backward in fp32 on such weights corrupts the heap on CPU (oneDNN, as in ``fit``).
    network = copy.deepcopy(network).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    data = data.on(next(network.parameters()).device)
    with forked_rng(0):  # projections of terms over features are drawn anew, and the caller's generator is left as it was
        task = _task_change(network, groups, data)
    if kind == "taylor":
        return task
    maps = attribution_change(network, groups, data)
    units = [max(float(torch.cat([part.abs() for part in found.values()]).mean()), _TINY) for found in (task, maps)]
    return {name: task[name] / units[0] + maps[name].abs() / units[1] for name in task}


def attribution_change(network: nn.Module, groups: Sequence[ChannelGroup], data: JudgingData) -> dict[str, Tensor]:
    """Return the predicted change of the attribution transfer when each channel goes, float64 [channels] by group: the formula above, mean over cases.

    Cases of which the imitated network says nothing (no lesion in its answer) do not count; zeros where none is left.
    """
    if data.source is None:
        raise ValueError(f"expected a network to compare attributions of {len(groups)} groups with, got {data.source}")
    cases = [sample.rows(slice(row, row + 1)) for sample in data.samples for row in range(len(sample.image))][: data.map_cases]
    total, count = {group.name: torch.zeros(group.size, dtype=torch.float64) for group in groups}, 0
    with running_statistics(network):
        for number, case in enumerate(cases):
            found = _case_change(network, groups, data, data.source, (number, case))
            count += found is not None
            for name, change in (found or {}).items():
                total[name] += change
    return {name: change / max(count, 1) for name, change in total.items()}


def _case_change(
    network: nn.Module, groups: Sequence[ChannelGroup], data: JudgingData, source: KnowledgeSource, numbered: tuple[int, Sample]
) -> dict[str, Tensor] | None:
    """Return the predicted change for one case; None where there is nothing to explain, or the network's map is zero."""
    number, case = numbered
    knowledge = source.for_batch(case)
    target, present = teacher_target(knowledge)
    asked = trace(network, case.inputs, layers=(layer_map_of(network).cam_layer,))
    explain = EXPLAINERS.load(str(data.transfer.get("explainer", "cam")))
    cells = pooled(explain(asked, target, differentiable=True).float(), int(data.transfer.get("grid", 8)))[0]
    size = cells.norm()
    if not bool(present[0]) or float(size.detach()) < _TINY:
        return None
    loss = attribution_transfer(asked, knowledge, case, **data.transfer)
    away, along = _slopes(network, groups, loss, retain=True), _slopes(network, groups, size.log(), retain=data.probes > 0)
    generator = torch.Generator().manual_seed(derive_seed("probes", number))
    energy = {group.name: torch.zeros(group.size, dtype=torch.float64) for group in groups}
    for probe in range(data.probes):
        signs = (torch.randint(2, cells.shape, generator=generator) * 2 - 1).to(cells)
        moved = _slopes(network, groups, (signs * cells).sum() / size.detach(), retain=probe + 1 < data.probes)
        for name, slope in moved.items():
            energy[name] += slope.square() / data.probes
    return {name: removal_change(1 - float(loss.detach()), away[name], along[name], energy[name]) for name in energy}


def removal_change(cosine: float, slope: Tensor, along: Tensor, energy: Tensor) -> Tensor:
    """Return A(0) - A(1) of channels by the formula above.

    Args:
        cosine: of the two maps, c.
        slope: dA/dg of each channel, float64 [channels].
        along: q of each.
        energy: e of each; at least as much as its two known parts need.
    """
    numerator = cosine - (along * cosine - slope)
    # An estimate of e may come out below what p and q already make of it: a cosine is never above one.
    square = torch.maximum(1 - 2 * along + energy, numerator.square()).clamp_min(_TINY)
    return cosine - numerator / square.sqrt()


def _task_change(network: nn.Module, groups: Sequence[ChannelGroup], data: JudgingData) -> dict[str, Tensor]:
    """Return the root mean square over batches of the slope of the objective along each gate."""
    objective = Objective(data.terms)
    adapters = objective.connect(network, data.source, data.samples[0].image[:1])
    step = DistillationStep(network, objective, data.source, adapters, None)
    step.adapters.to(data.samples[0].image.device)
    with running_statistics(network):
        found = [_slopes(network, groups, step(StepBatch(sample))[0]) for sample in data.samples]
    return {group.name: torch.stack([one[group.name] for one in found]).square().mean(0).sqrt() for group in groups}


def _slopes(network: nn.Module, groups: Sequence[ChannelGroup], value: Tensor, *, retain: bool = False) -> dict[str, Tensor]:
    """Return d value / d gate of each channel, float64 [channels] by group."""
    layers = sorted({part.layer for group in groups for part in group.read})
    weights = {layer: dense_weight(network.get_submodule(layer)) for layer in layers}
    gradients = torch.autograd.grad(value, list(weights.values()), retain_graph=retain, allow_unused=True)
    along = {}
    for (layer, weight), gradient in zip(weights.items(), gradients, strict=True):
        if gradient is not None:
            product = reading(network.get_submodule(layer), weight.detach() * gradient).double()
            along[layer] = product.transpose(0, 1).flatten(1).sum(1).cpu()
    found = {}
    for group in groups:
        found[group.name] = torch.zeros(group.size, dtype=torch.float64)
        for part in group.read:
            if part.layer in along:
                found[group.name].index_add_(0, part.channels, along[part.layer][part.places])
    return found


def _norms(network: nn.Module, group: ChannelGroup) -> Tensor:
    """Return the norm of all weights of convolutions and linear layers that write or read each channel."""
    squares = torch.zeros(group.size, dtype=torch.float64)
    for parts, is_read in ((group.written, False), (group.read, True)):
        for part in parts:
            module = network.get_submodule(part.layer)
            weight = dense_weight(module).detach()
            if weight.ndim < 2:
                continue  # the factor of a normalisation
            axis = reading(module, weight)
            rows = (axis.transpose(0, 1) if is_read else axis).double().flatten(1).square().sum(1).cpu()
            squares.index_add_(0, part.channels, rows[part.places])
    return squares.sqrt()
