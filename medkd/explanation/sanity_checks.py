"""What an explainer passes and fails on this network: tests that go with every explanation, each on what is explained."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from data_contracts import NetworkSpec, SanityCheck, SanityReport
from medkd.catalogue import EXPLAINERS, MEASURES
from medkd.explanation.measures_of_maps import check_of
from medkd.explanation.subjects import SanityTrial
from medkd.measures import additivity as _additivity
from medkd.measures import completeness as _completeness
from medkd.measures import model_parameter_randomisation as _randomisation
from medkd.models._build import build_network

#: Networks whose weights were drawn anew that a map is compared with; the median counts.
DRAWS = 3
#: Explanations of one subject that a verdict takes beside the map itself.
RUNS = DRAWS + 1


def run_sanity_checks(trial: SanityTrial, network: nn.Module, spec: NetworkSpec) -> SanityReport:
    """Test an explainer on one subject: what it claims, and what no map may lack.

    Args:
        trial: the subject and its maps; of several cases the median counts, the worst where rounding alone may differ.
        network: the network that was explained.
        spec: how to build it anew.
    """
    checks = (_randomised(trial, spec), _complete(trial, network), _additive(trial), _elsewhere(trial))
    return SanityReport(
        explainer=trial.method.explainer,
        checks=checks,
        trusted=all(check.passed is not False for check in checks),
        windows=trial.windows,
    )


def _randomised(trial: SanityTrial, spec: NetworkSpec) -> SanityCheck:
    values = []
    for draw in range(DRAWS):
        other = trial.by(build_network(spec, seed=2**31 + trial.method.seed + draw).eval())
        values += [_alike(one, drawn) for one, drawn in zip(trial.maps, other, strict=True)]
    known = [value for value in values if value is not None]
    value = float(torch.tensor(known).median()) if known else None
    return check_of("randomisation", value, _randomisation.FAILS_ABOVE, "a map of zeros with weights drawn anew")


def _complete(trial: SanityTrial, network: nn.Module) -> SanityCheck:
    limit, entry = _completeness.FAILS_ABOVE, EXPLAINERS.entry(trial.method.explainer)
    if not entry.fact("COMPLETE"):
        return SanityCheck(name="completeness", value=None, limit=limit, passed=None, reason="not claimed")
    baseline = float(trial.method.options.get("baseline", entry.options()["baseline"].default))
    gap, teacher = trial.gap(network, baseline), trial.method.options.get("teacher")
    if isinstance(teacher, nn.Module):  # what is explained is by how much the teacher's score is the larger
        gap = trial.gap(teacher, baseline) - gap
    value = MEASURES.load("completeness")(trial.maps, gap).nanmedian()
    return check_of("completeness", value, limit, "the baseline scores as the image does")


def _additive(trial: SanityTrial) -> SanityCheck:
    limit = _additivity.FAILS_ABOVE
    if not EXPLAINERS.entry(trial.method.explainer).fact("ADDITIVE"):
        return SanityCheck(name="additivity", value=None, limit=limit, passed=None, reason="not claimed")
    error = MEASURES.load("additivity")(trial.maps, trial.parts())
    known = error[~error.isnan()]
    return check_of("additivity", known.amax() if len(known) else None, limit, "a map of zeros")


def _elsewhere(trial: SanityTrial) -> SanityCheck:
    """Compare with the map of the same mask elsewhere: one that stays does not explain this lesion."""
    moved = trial.moved()
    if moved is None:
        return check_of("random_lesion", None, _randomisation.FAILS_ABOVE, "an answer about a whole picture is nowhere else")
    return check_of(
        "random_lesion", _alike(trial.maps[0], moved[0], both=True), _randomisation.FAILS_ABOVE, "the maps have no voxel in common"
    )


def _alike(one: Tensor, other: Tensor, *, both: bool = False) -> float | None:
    """Return |Spearman| of two maps over what either of them (or both) says anything of; None where that is too little."""
    said = ((one != 0) & (other != 0)) if both else ((one != 0) | (other != 0))
    if int(said.sum()) < 8:
        return None
    value = float(MEASURES.load("model_parameter_randomisation")(one[said][None], other[said][None])[0])
    return value if value == value else None
