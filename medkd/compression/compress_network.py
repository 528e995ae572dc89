"""One candidate of compression made: factorised, pruned and tuned, in this order; a version like any other comes out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from data_contracts import (
    Candidate,
    Checkpoint,
    CohortSet,
    CompressionError,
    NetworkSpec,
    Pruning,
    Quantisation,
    Task,
    TrainingCost,
    TrainingSpec,
)
from medkd.compression.channel_groups import find_channel_groups, remove_channels
from medkd.compression.channel_masks import add_masks, remove_masked, set_masks
from medkd.compression.importance import channel_importance
from medkd.compression.judging_data import JudgingData, open_judging_data
from medkd.compression.prune_rounds import channels_left, least_important, mask_rounds, round_epochs
from medkd.compression.simulated_rounding import end_rounding, simulate_rounding
from medkd.compression.tune import Tuner, imitated, open_tuner, tuning_terms
from medkd.models._build import build_network, parameter_count
from medkd.models._load import load_network
from medkd.models._tucker import factorised
from medkd.storage.stage import stage
from medkd.storage.workspace import Workspace
from medkd.training.training_run import InitialNetwork, store_weights


def require_compressible(spec: NetworkSpec, task: Task, candidate: Candidate) -> None:
    """Refuse what cannot be made of a network, before anything is computed: on a network of the same build with random weights.

    Raises:
        CompressionError: ``NOT_PRUNABLE``, ``ALREADY_FACTORISED``, ``TUNING_TOO_SHORT``, ``DYNAMIC_WEIGHTS`` or ``AWARE_WHILE_PRUNING``, each with the reason.
        MissingDependencyError: ``PRUNING_LIBRARY``.
    """
    prune, tune = candidate.prune, candidate.tune
    if prune is not None and prune.dynamic and candidate.quantise is not None and candidate.quantise.method == "aware":
        raise CompressionError(
            "AWARE_WHILE_PRUNING",
            f"expected quantisation-aware training after pruning, got dynamic pruning in {prune.steps} rounds: set dynamic: false",
        )
    if candidate.rank_ratio is not None and (spec.rank_ratio is not None or spec.layer_widths):
        raise CompressionError(
            "ALREADY_FACTORISED", f"expected a network of whole layers for rank_ratio, got one with rank_ratio {spec.rank_ratio} and {len(spec.layer_widths)} pruned layers"
        )  # fmt: skip
    if prune is None:
        return
    least = prune.steps + prune.dynamic if tune is not None else 0
    if tune is not None and tune.fit.epochs < least:
        raise CompressionError(
            "TUNING_TOO_SHORT", f"expected {least} epochs or more for {prune.steps} rounds of pruning, got {tune.fit.epochs}"
        )
    if prune.dynamic and tune is not None and (tune.fit.ema is not None or tune.fit.patience is not None):
        raise CompressionError(
            "DYNAMIC_WEIGHTS",
            f"expected the last weights of dynamic pruning to be kept, got ema {tune.fit.ema} and patience {tune.fit.patience}",
        )
    find_channel_groups(_ranked(build_network(spec), candidate.rank_ratio), task.image_size, task.in_channels)


def compress_checkpoint(
    workspace: Workspace,
    training: tuple[TrainingSpec, CohortSet],
    origin: Checkpoint,
    teacher: Checkpoint | None,
    candidate: Candidate,
    *,
    seed: int = 0,
) -> Checkpoint:
    """Return the checkpoint that a candidate makes of a version, up to its quantisation; remembered like a training.

    Same arguments and same kind of processor give the same bits. Cases of the test are not opened.

    Args:
        workspace: where files go.
        training: of the version: ``recipe.student_training(arm, seed)``, and the prepared cohorts.
        origin: the version.
        teacher: that it was distilled from; None where there are no weights of it.
        candidate: what is done; its quantisation and its runtime are not.
        seed: of everything that is drawn.

    Raises:
        CompressionError: as :func:`require_compressible`.
        KnowledgeError, LeakageError: as ``open_tuner``.
    """
    require_compressible(origin.network, origin.task, candidate)
    if candidate.rank_ratio is None and candidate.prune is None and candidate.tune is None:
        return origin
    made = Candidate(rank_ratio=candidate.rank_ratio, prune=candidate.prune, tune=candidate.tune)
    if candidate.quantise is not None and candidate.quantise.method == "aware":
        # Whoever quantises afterwards: the training is the same.
        made = made.model_copy(update={"quantise": Quantisation(method="aware")})
    return _compressed(workspace, training, origin, teacher, made, seed)


@stage
def _compressed(
    workspace: Workspace,
    training: tuple[TrainingSpec, CohortSet],
    origin: Checkpoint,
    teacher: Checkpoint | None,
    candidate: Candidate,
    seed: int,
) -> Checkpoint:
    work = _Compression(workspace, training, origin, teacher, candidate, seed)
    network = _ranked(load_network(workspace, origin), candidate.rank_ratio)
    ratio = origin.network.rank_ratio if candidate.rank_ratio is None else candidate.rank_ratio
    start = InitialNetwork(network, origin.network.model_copy(update={"rank_ratio": ratio}))
    if candidate.prune is not None and candidate.prune.dynamic:
        return work.prune_while_tuning(start, candidate.prune)
    if candidate.prune is not None:
        return work.prune_then_tune(start, candidate.prune)
    return work.tuned(start, "tuned", None)


def _ranked(network: nn.Module, ratio: float | None) -> nn.Module:
    return network if ratio is None else factorised(network, ratio)


@dataclass(frozen=True)
class _Compression:
    """One candidate of one version."""

    workspace: Workspace
    training: tuple[TrainingSpec, CohortSet]
    origin: Checkpoint
    teacher: Checkpoint | None
    candidate: Candidate
    seed: int

    def prune_then_tune(self, start: InitialNetwork, prune: Pruning) -> Checkpoint:
        """Remove channels in rounds, each after judging what is left, and tune after each."""
        data, sizes, made = self.judging_data(prune), dict[str, int](), list[Checkpoint]()
        for number in range(1, prune.steps + 1):
            groups = find_channel_groups(start.network, self.origin.task.image_size, self.origin.task.in_channels)
            sizes = sizes or {group.name: group.size for group in groups}
            worth = channel_importance(prune.importance, start.network, groups, data)
            removed = least_important(worth, channels_left(sizes, prune, number))
            changed = remove_channels(start.network, groups, removed)
            start = InitialNetwork(start.network, _narrower(start.spec, changed))
            made.append(self.tuned(start, f"pruned{number}", round_epochs(self.candidate.tune, prune.steps, number)))
            if self.candidate.tune is not None:
                start = InitialNetwork(load_network(self.workspace, made[-1]), start.spec)
        return _summed(made) if self.candidate.tune is not None else made[-1]

    def prune_while_tuning(self, start: InitialNetwork, prune: Pruning) -> Checkpoint:
        """Tune once; channels are masked in rounds meanwhile, may come back until the last, and what is masked then is removed at the end."""
        groups = find_channel_groups(start.network, self.origin.task.image_size, self.origin.task.in_channels)
        data, sizes = self.judging_data(prune), {group.name: group.size for group in groups}
        rounds = mask_rounds(self.candidate.tune, prune)

        def after_epoch(epoch: int, network: nn.Module) -> None:
            if epoch in rounds:
                worth = channel_importance(prune.importance, network, groups, data)
                set_masks(network, groups, least_important(worth, channels_left(sizes, prune, rounds[epoch])))

        def finish(network: nn.Module) -> NetworkSpec:
            return _narrower(start.spec, remove_masked(network, groups))

        masked = InitialNetwork(add_masks(start.network, groups), start.spec, finish)
        return self._kept(self.tuner().train(masked, part="dynamic", after_epoch=after_epoch))

    def tuned(self, start: InitialNetwork, part: str, epochs: int | None) -> Checkpoint:
        """Return the checkpoint of a network, trained where the candidate says so."""
        if self.candidate.tune is not None:
            return self._kept(self.tuner().train(_rounding(start) if self.candidate.quantise else start, part=part, epochs=epochs))
        name = f"{self.training[0].recipe}/{self.origin.run_name}-{self.key[:8]}-{part}"
        stored = store_weights(self.workspace, name, start.network)
        return self._kept(self.origin.model_copy(update={"network": start.spec, "parameters": parameter_count(start.network), **stored}))

    @property
    def key(self) -> str:
        """Return the digest of everything that a state of a tuning must agree with."""
        teacher = "" if self.teacher is None else self.teacher.weights_digest
        parts = (self.origin.weights_digest, teacher, self.candidate.digest(), str(self.seed))
        return hashlib.sha256("/".join(parts).encode()).hexdigest()

    def tuner(self) -> Tuner:
        """Return what trains it."""
        tune = self.candidate.tune
        if tune is None:
            raise ValueError(f"expected a candidate that is tuned, got {self.candidate}")
        terms = tuning_terms(tune, self.training[0].objective.terms)
        loaded = imitated(self.workspace, self.origin, self.teacher, tune, terms)
        return open_tuner(self.workspace, self.training, loaded, tune, seed=self.seed, key=self.key)

    def judging_data(self, prune: Pruning) -> JudgingData | None:
        """Return training cases to judge channels on; None where their weights are enough."""
        if prune.importance == "magnitude":
            return None
        return open_judging_data(self.workspace, self.training, self.origin, self.teacher, self.candidate.tune, seed=self.seed)

    def _kept(self, made: Checkpoint) -> Checkpoint:
        """Return a checkpoint that descends from the version: its arm, its teacher, the feedback that it followed."""
        kept = {name: getattr(self.origin, name) for name in ("arm", "teacher_digest", "feedback")}
        return made.model_copy(update={**kept, "seed": self.seed if self.candidate.tune is not None else self.origin.seed})


def _rounding(start: InitialNetwork) -> InitialNetwork:
    """Return a beginning whose layers round while it is trained, and no longer when it is done."""

    def finish(network: nn.Module) -> NetworkSpec:
        end_rounding(network)
        return start.spec

    return InitialNetwork(simulate_rounding(start.network), start.spec, finish)


def _narrower(spec: NetworkSpec, changed: dict[str, tuple[int, int]]) -> NetworkSpec:
    return spec.model_copy(update={"layer_widths": dict(sorted({**spec.layer_widths, **changed}.items()))})


def _summed(rounds: Sequence[Checkpoint]) -> Checkpoint:
    """Return the last round's checkpoint with what all of them cost."""
    costs = [made.cost for made in rounds if made.cost is not None]
    total: TrainingCost | None = None
    for cost in costs:
        total = cost if total is None else total + cost
    epochs, seconds = sum(made.epochs for made in rounds), sum(made.train_seconds for made in rounds)
    return rounds[-1].model_copy(update={"epochs": epochs, "train_seconds": seconds, "cost": total})
