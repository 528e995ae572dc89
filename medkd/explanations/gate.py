"""May an explainer be believed on this network? Tests that go with every explanation, each on the lesion that is explained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from data_contracts import ExplainerVerdict, NetworkSpec, SanityCheck
from medkd.catalogue import EXPLAINERS, MEASURES
from medkd.explanations.measured import check_of
from medkd.inference.segment import PreparedStudy, explain_lesions, logits_of
from medkd.measures import additivity as _additivity
from medkd.measures import completeness as _completeness
from medkd.measures import randomisation as _randomisation
from medkd.models._build import build_network

#: Networks whose weights were drawn anew that a map is compared with; the median counts.
DRAWS = 3
#: Explanations of one lesion that a verdict takes beside the map itself.
RUNS = DRAWS + 1


@dataclass(frozen=True)
class Trial:
    """One lesion and its map, about to be tested.

    Attributes:
        network: the network that was explained.
        spec: how to build it anew.
        study: the study.
        inside: the frozen lesion, uint8 [*network space].
        index: its class.
        attribution: its map [*network space].
        explainer: name in the catalogue.
        options: of the explainer, networks among them.
        seed: of explainers that draw.
    """

    network: nn.Module
    spec: NetworkSpec
    study: PreparedStudy
    inside: Tensor
    index: int
    attribution: Tensor
    explainer: str
    options: Mapping[str, Any]
    seed: int = 0

    def explained(self, masks: Tensor, network: nn.Module | None = None) -> Tensor:
        """Return maps of other masks, or by another network, [mask, *network space]."""
        return explain_lesions(
            network or self.network,
            self.study,
            masks,
            [self.index] * len(masks),
            explainer=self.explainer,
            options=self.options,
            seed=self.seed,
        )


def judge(trial: Trial) -> ExplainerVerdict:
    """Test an explainer on one lesion: what it claims, and what no map may lack."""
    first, second, moved = trial.explained(torch.stack([*halves(trial.inside), elsewhere(trial.inside)]))
    checks = (_randomised(trial), _complete(trial), _additive(trial, first + second), _other_lesion(trial, moved))
    return ExplainerVerdict(explainer=trial.explainer, checks=checks, trusted=all(check.passed is not False for check in checks))


def halves(inside: Tensor) -> tuple[Tensor, Tensor]:
    """Return two masks that make up one: its first and its last voxels."""
    places = inside.flatten().nonzero()[:, 0]
    first = torch.zeros_like(inside.flatten())
    first[places[: len(places) // 2]] = 1
    return first.view(inside.shape), inside - first.view(inside.shape)


def elsewhere(inside: Tensor) -> Tensor:
    """Return the same mask half the image away along its last axis, where nothing was found."""
    return inside.roll(inside.shape[-1] // 2, -1) * (1 - inside)


def _randomised(trial: Trial) -> SanityCheck:
    values = []
    for draw in range(DRAWS):
        network = build_network(trial.spec, seed=2**31 + trial.seed + draw).eval()
        values.append(_alike(trial.attribution, trial.explained(trial.inside[None], network)[0]))
    known = [value for value in values if value is not None]
    value = float(torch.tensor(known).median()) if known else None
    return check_of("randomisation", value, _randomisation.FAILS_ABOVE, "a map of zeros with weights drawn anew")


def _complete(trial: Trial) -> SanityCheck:
    limit = _completeness.FAILS_ABOVE
    if not EXPLAINERS.entry(trial.explainer).fact("COMPLETE"):
        return SanityCheck(name="completeness", value=None, limit=limit, passed=None, reason="not claimed")
    default = EXPLAINERS.entry(trial.explainer).options()["baseline"].default
    plain = torch.full_like(trial.study.image, float(trial.options.get("baseline", default)))
    gap = _margin(trial, trial.study.image) - _margin(trial, plain)
    value = float(MEASURES.load("completeness")(trial.attribution[None], gap[None])[0])
    return check_of("completeness", value, limit, "the baseline scores as the image does")


def _margin(trial: Trial, image: Tensor) -> Tensor:
    """Return the lesion's margin on an image; that of the gap for explainers of a gap."""
    logits = logits_of(trial.network, trial.study, image)
    teacher = trial.options.get("teacher")
    if isinstance(teacher, nn.Module):
        logits = logits_of(teacher, trial.study, image) - logits
    return ((logits[trial.index] - logits[0]).double() * trial.inside).sum()


def _additive(trial: Trial, parts: Tensor) -> SanityCheck:
    limit = _additivity.FAILS_ABOVE
    if not EXPLAINERS.entry(trial.explainer).fact("ADDITIVE"):
        return SanityCheck(name="additivity", value=None, limit=limit, passed=None, reason="not claimed")
    value = float(MEASURES.load("additivity")(trial.attribution[None], parts[None])[0])
    return check_of("additivity", value, limit, "a map of zeros")


def _other_lesion(trial: Trial, moved: Tensor) -> SanityCheck:
    """Compare with the map of the same mask elsewhere: one that stays does not explain this lesion."""
    value = _alike(trial.attribution, moved, both=True)
    return check_of("random_lesion", value, _randomisation.FAILS_ABOVE, "the maps have no voxel in common")


def _alike(one: Tensor, other: Tensor, *, both: bool = False) -> float | None:
    """Return |Spearman| of two maps over what either of them (or both) says anything of; None where that is too little."""
    said = ((one != 0) & (other != 0)) if both else ((one != 0) | (other != 0))
    if int(said.sum()) < 8:
        return None
    value = float(MEASURES.load("randomisation")(one[said][None], other[said][None])[0])
    return value if value == value else None
