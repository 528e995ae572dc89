"""What networks are like where no map says it, and how well explainers find what networks really use."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from data_contracts.record import Estimate, Finite, FrozenModel, Ref, Sha256, VersionedRecord


class LayerTrait(FrozenModel):
    """A layer, the channels that carry most of the score, most first, and the share of its first-order change that each carries."""

    name: str
    channels: tuple[int, ...]
    shares: tuple[Finite, ...]


class Inspection(VersionedRecord):
    """What a network is like beside its teacher, where no map says it.

    ``similarity`` is the linear CKA of every layer with every ``teacher_layers``, None where one is constant. ``figures`` is keyed
    ``ROLE/NAME``: the root mean square change of a voxel, in units of the network's input (its window is 2 wide), that flips the answer by the
    smallest change found (``minimal_perturbation_rms``) and straight along the gradient (``boundary_rms``), the share of cases that could be flipped,
    and student less teacher of each. ``array`` names a safetensors file with ``feature_visualisation/CLASS`` (what would score highest), ``image``,
    ``change/ROLE`` and ``plane/ROLE`` (the score round the first case); ``picture`` shows them.
    """

    SCHEMA: ClassVar[str] = "inspection/2"
    subject: str
    weights_digest: Sha256
    teacher_digest: Sha256
    cases: int = Field(ge=1)
    layers: tuple[LayerTrait, ...]
    teacher_layers: tuple[str, ...]
    similarity: tuple[tuple[Finite | None, ...], ...]
    figures: dict[str, Estimate]
    array: Ref
    picture: Ref


class BenchmarkNetwork(FrozenModel):
    """A network that was made to use one thing, or both, and what hiding each does to its score.

    ``gap`` is the network of both less the network of the lesion: what is explained is where the two part, which is the marker. ``accuracy`` is
    that on the held-out cases (of the gap: the share in which they part where they should); ``effects`` is the fall of the explained margin, in logits, when the lesion or the marker is
    not rendered: what the network really uses.
    """

    name: Literal["lesion", "marker", "both", "gap"]
    accuracy: Finite
    effects: dict[Literal["lesion", "marker"], Estimate]


class ExplainerBenchmark(VersionedRecord):
    """How well every explainer finds what a network really uses, where that is known because it was planted.

    ``figures`` is network, then explainer (baselines among them), then measure. ``not_shown`` says why an
    explainer is missing.
    """

    SCHEMA: ClassVar[str] = "explainer_benchmark/2"
    cases: int = Field(ge=1)
    seed: int
    networks: tuple[BenchmarkNetwork, ...]
    figures: dict[str, dict[str, dict[str, Estimate]]]
    not_shown: dict[str, str] = Field(default_factory=dict)
