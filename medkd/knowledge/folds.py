"""Networks of one build, each trained without one fold of the patients, asked in one pass; and who may answer for whom."""

from __future__ import annotations

import copy
import functools
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from data_contracts import KnowledgeError
from medkd.knowledge.interface import Knowledge
from medkd.knowledge.mixture import MixtureKnowledge, Weigher, mean_weights
from medkd.knowledge.source import KnowledgeSource, LiveSource
from medkd.targets import Target
from medkd.trace import DEFAULT_HEAD, TEACHER_IMAGE, Sample
from medkd.types import AttributionMap, FeatureMap, Images, Logits

_LOG = logging.getLogger("medkd")


class StackedNetworks:
    """Networks of one build as one function: their weights stacked, and one pass over all of them (``torch.func``).

    ``reason`` says why they are asked one after another, where a layer of them cannot be vectorised.

    Args:
        networks: of one build, in eval mode.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        self.networks = tuple(networks)
        self.reason = ""
        self._stacked: Callable[[Tensor], Tensor] | None = None

    def logits(self, image: Images) -> Tensor:
        """Return the logits of each network, [network, batch, classes, *space], float32, without a gradient."""
        with torch.no_grad():
            if not self.reason:
                try:
                    return self._at_once(image).float()
                except (RuntimeError, NotImplementedError, ValueError) as error:
                    self.reason = " ".join(str(error).split())[:160]
                    _LOG.warning("FOLDS_ONE_BY_ONE: the networks of the folds are asked one after another: %s", self.reason)
            return torch.stack([_default_head(network(image)).float() for network in self.networks])

    def _at_once(self, image: Tensor) -> Tensor:
        if self._stacked is None:
            parameters, buffers = torch.func.stack_module_state(list(self.networks))
            # A skeleton without bytes: weights come with every call.
            skeleton = copy.deepcopy(self.networks[0]).to("meta")

            def one(own: Any, kept: Any, shown: Tensor) -> Tensor:
                return _default_head(torch.func.functional_call(skeleton, (own, kept), (shown,)))

            vectorised = torch.vmap(one, in_dims=(0, 0, None))
            self._stacked = lambda shown: vectorised(parameters, buffers, shown)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*batching rule.*")
            return self._stacked(image)


def _default_head(output: Any) -> Tensor:
    answer: Tensor = output[DEFAULT_HEAD] if isinstance(output, Mapping) else output
    return answer


class _Answered:
    """A network's answers of which the logits are known already."""

    def __init__(self, knowledge: Knowledge, logits: Callable[[], Tensor]) -> None:
        self._knowledge, self._logits = knowledge, logits

    def logits(self) -> Logits:
        return self._logits()

    def features(self, layer: str) -> FeatureMap:
        return self._knowledge.features(layer)

    def attribution(self, explainer: str, target: Target, **options: Any) -> AttributionMap:
        return self._knowledge.attribution(explainer, target, **options)

    def for_batch(self, image: Images, labels: Tensor | None = None) -> Knowledge:
        return self._knowledge.for_batch(image, labels)

    def response(self, hidden: Images) -> Tensor:
        return self._knowledge.response(hidden)


class FoldSource:
    """The networks of the folds as one teacher: their mean, or for a patient of a fold the network that was trained without it.

    Args:
        members: a source per fold, live or stored.
        held_out: codes (:attr:`medkd.trace.Sample.patients`) of each fold's patients.
        out_of_fold: no network answers for a patient that it was trained on.
    """

    def __init__(self, members: Sequence[KnowledgeSource], held_out: Sequence[frozenset[int]] = (), *, out_of_fold: bool = False) -> None:
        self.members = tuple(members)
        self.held_out, self.out_of_fold = tuple(held_out), out_of_fold
        live = [member for member in members if isinstance(member, LiveSource)]
        self.stacked = StackedNetworks([member.network for member in live]) if len(live) == len(members) else None

    def for_batch(self, sample: Sample) -> MixtureKnowledge:
        """Return the answers of the folds about the batch."""
        parts: list[Knowledge] = [member.for_batch(sample) for member in self.members]
        stacked = self.stacked
        if stacked is not None and not all(isinstance(member, LiveSource) and member.knows(sample) for member in self.members):
            image = sample.inputs.get(TEACHER_IMAGE, sample.image)
            all_logits = functools.cache(lambda: stacked.logits(image))
            parts = [_Answered(part, functools.partial(_row, all_logits, index)) for index, part in enumerate(parts)]
        return MixtureKnowledge(parts, self._weigher(sample))

    def _weigher(self, sample: Sample) -> Weigher:
        if not self.out_of_fold:
            return mean_weights
        if sample.patients is None:
            raise KnowledgeError(
                "FOLD_UNKNOWN", f"expected cases that say whose they are for answers out of fold, these {len(sample.image)} do not"
            )
        allowed = may_answer(sample.patients, self.held_out)
        shares = allowed / allowed.sum(0, keepdim=True)
        return lambda log_p, _labels: shares.to(log_p).view(*shares.shape, *(1,) * (log_p.ndim - 2))

    def layers(self) -> tuple[str, ...]:
        """Return the layers of the first fold."""
        return self.members[0].layers()

    def shape(self, layer: str, image: Tensor) -> tuple[int, ...]:
        """Return the shape that a layer of the first fold puts out."""
        return self.members[0].shape(layer, image)

    def ask_for(self, layers: Sequence[str]) -> None:
        """Tap these layers of the first fold."""
        self.members[0].ask_for(layers)

    def ask_before(self, images: Tensor, *, mirrored: bool, maps: bool, batch: int) -> None:
        """Ask every fold about each view that training repeats (:meth:`LiveSource.ask_before`)."""
        for member in self.members:
            if isinstance(member, LiveSource):
                member.ask_before(images, mirrored=mirrored, maps=maps, batch=batch)

    def prepared(self, device: torch.device, *, channels_last: bool) -> FoldSource:
        """Freeze the networks and bring them to the device."""
        for member in self.members:
            member.prepared(device, channels_last=channels_last)
        return self


def _row(all_logits: Callable[[], Tensor], index: int) -> Tensor:
    return all_logits()[index]


def may_answer(patients: Tensor, held_out: Sequence[frozenset[int]]) -> Tensor:
    """Return float32 [fold, case]: 1 where the network of the fold was not trained on the case's patient; patients int64 [case].

    Raises:
        KnowledgeError: ``FOLD_UNKNOWN`` when every network was trained on one of the patients.
    """
    known = frozenset().union(*held_out)
    codes = patients.tolist()
    # Trained on all folds but its own: a patient of the folds is new to one network, everybody else to all.
    allowed = torch.tensor([[float(code not in known or code in fold) for code in codes] for fold in held_out])
    if not bool((allowed.sum(0) > 0).all()):
        lacking = sum(1 for total in allowed.sum(0).tolist() if total == 0)
        raise KnowledgeError(
            "FOLD_UNKNOWN", f"expected for every case a fold whose network was not trained on its patient, {lacking} have none"
        )
    return allowed
