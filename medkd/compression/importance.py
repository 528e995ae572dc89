"""What a channel is worth, by its weights, by the task, or by the explanation that it carries; all are judged before any is removed.

A channel c is thought of with a gate g_c, 1 while it is there: the factor of the columns by which other layers read it. Removing it is g_c = 0, whatever
normalisation and rectifiers lie before those layers. With ``dL/dg_c`` = sum over these columns of weight times gradient, no gate has to be built:

- ``magnitude``: the Euclidean norm of all weights of the channel, in every layer of its group.
- ``taylor``: |dL/dg_c|, the change of the objective L to first order (Molchanov et al. 2019, 1906.10771), the root of its mean square over batches.
- ``attribution``: the change of the attribution transfer A = 1 - cosine(m, t) between the maps of the network and of the one it is distilled from.
  First order alone is blind where it matters most: at A's minimum (a network compared with itself) its slope is zero for every channel. With unit
  maps u = m/|m| and v = t/|t|, A = |u - v|^2 / 2; let the map alone be linear in the gate, u(0) = u - du/dg_c, and then, without a further approximation,

      A(0) - A(1) = - dA/dg_c + |du/dg_c|^2 / 2.

  The first term is the slope of the loss ``attribution_transfer`` itself; the second is what the channel moves of the map, and it never vanishes for a
  channel that the map is made of. Its norm over all cells costs one backward pass per probe: for random signs r, the mean of (d<r, u>/dg_c)^2 is
  |du/dg_c|^2 (Hutchinson 1989). Negative values are kept: without such a channel the maps agree better. To this the task's ``taylor`` is added, each in
  units of its mean magnitude over all channels of the network, so that a channel goes first which neither the answer nor its reason needs.

That compression should keep attributions is Park et al. 2020 (NeurIPS, 2010.15054), who add a distance of maps to the training after it; that channels
are *chosen* by the maps' change, and the formula, are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from medkd.catalogue import EXPLAINERS
from medkd.compression.channel_groups import ChannelGroup, reading
from medkd.compression.channel_masks import dense_weight
from medkd.compression.judging_data import JudgingData
from medkd.distillation._reduce import pooled, unit_norm
from medkd.distillation.attribution_transfer import attribution_transfer
from medkd.knowledge.targets import teacher_target
from medkd.seeds import derive_seed
from medkd.trace import forked_rng, layer_map_of, running_statistics, trace
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
    data = data.on(next(network.parameters()).device)
    with forked_rng(0):  # projections of terms over features are drawn anew, and the caller's generator is left as it was
        task = _task_change(network, groups, data)
    if kind == "taylor":
        return task
    maps = attribution_change(network, groups, data)
    units = [max(float(torch.cat([part.abs() for part in found.values()]).mean()), _TINY) for found in (task, maps)]
    return {name: task[name] / units[0] + maps[name] / units[1] for name in task}


def attribution_change(network: nn.Module, groups: Sequence[ChannelGroup], data: JudgingData) -> dict[str, Tensor]:
    """Return the predicted change of the attribution transfer when each channel goes, by group: the formula above, mean over the batches."""
    with running_statistics(network):
        found = [_attribution_batch(network, groups, data, index) for index in range(len(data.samples))]
    return {group.name: torch.stack([one[group.name] for one in found]).mean(0) for group in groups}


def _task_change(network: nn.Module, groups: Sequence[ChannelGroup], data: JudgingData) -> dict[str, Tensor]:
    """Return the root mean square over batches of the slope of the objective along each gate."""
    objective = Objective(data.terms)
    adapters = objective.connect(network, data.source, data.samples[0].image[:1])
    step = DistillationStep(network, objective, data.source, adapters, None)
    step.adapters.to(data.samples[0].image.device)
    with running_statistics(network):
        found = [_slopes(network, groups, step(StepBatch(sample))[0]) for sample in data.samples]
    return {group.name: torch.stack([one[group.name] for one in found]).square().mean(0).sqrt() for group in groups}


def _attribution_batch(network: nn.Module, groups: Sequence[ChannelGroup], data: JudgingData, index: int) -> dict[str, Tensor]:
    if data.source is None:
        raise ValueError("expected a network to compare attributions with, got None")
    sample = data.samples[index]
    knowledge = data.source.for_batch(sample)
    asked = trace(network, sample.inputs, layers=(layer_map_of(network).cam_layer,))
    loss = attribution_transfer(asked, knowledge, sample, **data.transfer)
    slopes = _slopes(network, groups, loss, retain=True)
    target, present = teacher_target(knowledge)
    explain = EXPLAINERS.load(str(data.transfer.get("explainer", "cam")))
    units = unit_norm(pooled(explain(asked, target, differentiable=True), int(data.transfer.get("grid", 8))))
    units = units * present[:, None]
    generator = torch.Generator().manual_seed(derive_seed("probes", index))
    change = {name: -slope for name, slope in slopes.items()}
    for probe in range(data.probes):
        signs = (torch.randint(2, units.shape, generator=generator) * 2 - 1).to(units)
        # Cases are independent, so that one probe over all of them is one of each.
        moved = _slopes(network, groups, (signs * units).sum(), retain=probe + 1 < data.probes)
        for name, slope in moved.items():
            change[name] = change[name] + slope.square() / (2 * data.probes * max(int(present.sum()), 1))
    return change


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
