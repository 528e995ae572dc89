"""Do explainers find what a network really uses? Volumes in which that is known: it was planted, and is checked by rendering without it.

Four kinds of volumes in equal parts: a lesion or none, a corner marker or none. One network is trained to tell the lesion, one the marker, one
whether both are there. Each explains the cases that show both, and its map is held against the region that it really uses. A fourth is the last less the
first: the marker is where those two part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from data_contracts import BenchmarkNetwork, Entry, Estimate, Explain, ExplainerBenchmark, LossTerm, NetworkSpec, Task, TrainingConfig
from medkd.attribution._attribute import attribute
from medkd.attribution.gap_attribution import Difference
from medkd.catalogue import EXPLAINERS, MEASURES
from medkd.evaluation.bootstrap import bootstrap_figure, mean_of
from medkd.explanation.baselines import BASELINES
from medkd.models._build import build_network
from medkd.phantom.render import PhantomCases, draw_cases, render_volume
from medkd.progress import progress_bar
from medkd.seeds import derive_seed
from medkd.storage.stage import stage
from medkd.storage.workspace import Workspace
from medkd.targets import class_margin
from medkd.trace import Sample
from medkd.training.fit import FitRequest, fit
from medkd.training.objective import Objective
from medkd.volumes.window import window_intensity

NETWORKS = ("lesion", "marker", "both")
#: Slice, row, column: the phantom at twice its pixel.
SIZE = (12, 32, 32)
TASK = Task(kind="classification", classes=("absent", "present"), image_size=SIZE)
SPEC = NetworkSpec(builder="resnet", spatial_dims=3, options={"channels": (8, 16, 32, 64)})
FIT = TrainingConfig(epochs=14, batch_size=16, learning_rate=0.004, precision="fp32", augment="none")
TRAINING = 384
#: The measures that hold a map against the region that is used.
LOCATED = ("map_auprc", "map_auroc", "pointing_game", "relevance_mass_accuracy")
MEASURED = (*LOCATED, "share_error")
#: Those that need no layer of a network, and so can explain what two networks make together.
OF_INPUT = ("saliency", "input_times_gradient", "smooth_grad", "integrated_gradients", "gradient_shap", "occlusion", "kernel_shap", "lime")
NOT_SHOWN = {
    "seg_xres_cam": "explains segmentations only",
    "attention_rollout": "asks for a transformer: these networks are convolutional",
}


@dataclass(frozen=True)
class Volumes:
    """Rendered cases.

    Attributes:
        images: float32 [n, 1, *SIZE] in [-1, 1].
        lesion: bool [n], whether one was rendered.
        marker: bool [n].
        regions: bool [n, 2, *SIZE]: where lesion and marker are.
    """

    images: Tensor
    lesion: Tensor
    marker: Tensor
    regions: Tensor

    def labels(self, network: str) -> Tensor:
        """Return what a network is taught to tell, int64 [n]."""
        wanted = {"lesion": self.lesion, "marker": self.marker, "both": self.lesion & self.marker}[network]
        return wanted.long()


@dataclass(frozen=True)
class _Lessons:
    """Volumes and the labels of one network, to be drawn from."""

    volumes: Volumes
    truth: Tensor

    def __len__(self) -> int:
        return len(self.truth)

    def draw(self, rows: Tensor, task: Task, config: TrainingConfig, generator: torch.Generator) -> Sample:
        """Return the batch of some rows."""
        del task, config, generator
        return Sample(inputs={"image": self.volumes.images[rows]}, labels=self.truth[rows], patients=rows)

    def patients(self) -> list[str]:
        """Return one patient per case."""
        return [str(row) for row in range(len(self))]


def every_explainer() -> Explain:
    """Return every explainer of the catalogue that gives a map of one convolutional classifier."""
    names = [name for name in EXPLAINERS.names() if EXPLAINERS.entry(name).fact("RETURNS", "map") == "map" and shows(name)]
    return Explain(explainers=tuple(Entry(name=name) for name in (*names, "gap_attribution")))


@stage
def judge_explainers(workspace: Workspace, cases: int, seed: int, explain: Explain) -> ExplainerBenchmark:
    """Train the networks below the workspace and judge explainers; a changed or a new one is judged anew.

    Args:
        workspace: where states of training lie.
        cases: volumes that are explained.
        seed: of cohorts and networks.
        explain: names the explainers: :func:`every_explainer`.
    """
    names = tuple(entry.name for entry in explain.explainers if shows(entry.name))
    return explainer_benchmark(workspace.root / "training", cases=cases, seed=seed, progress=workspace.progress, explainers=names)


def explainer_benchmark(
    folder: Path,
    *,
    cases: int = 40,
    seed: int = 0,
    progress: bool = False,
    spec: NetworkSpec = SPEC,
    explainers: Sequence[str] | None = None,
) -> ExplainerBenchmark:
    """Train the three networks and judge every explainer of the catalogue that gives a map of a classifier, and of the gap of two.

    Args:
        folder: for the states of training.
        cases: volumes that are explained; each shows lesion and marker.
        seed: of cohorts and networks.
        progress: show bars.
        spec: of the networks.
        explainers: names in the catalogue; by default all that give a map of a classifier.
    """
    if explainers is None:
        explainers = [entry.name for entry in every_explainer().explainers if shows(entry.name)]
    lessons = render(TRAINING, derive_seed("planted", seed), lesion=None, marker=None)
    held = render(4 * cases, derive_seed("planted-held", seed), lesion=None, marker=None)
    shown = partial(render, cases, derive_seed("planted-test", seed))
    both, plain, unmarked = shown(lesion=True, marker=True), shown(lesion=False, marker=True), shown(lesion=True, marker=False)
    models = {name: _trained(name, lessons, folder, seed, progress, spec) for name in NETWORKS}
    models["gap"] = Difference(models["both"], models["lesion"])
    networks, figures = [], {}
    for name, model in models.items():
        whole = _scores(model, both.images)
        falls = {"lesion": whole - _scores(model, plain.images), "marker": whole - _scores(model, unmarked.images)}
        effects = {key: figure_of(value, unit="logit") for key, value in falls.items()}
        networks.append(BenchmarkNetwork.model_validate({"name": name, "accuracy": _accuracy(name, models, held), "effects": effects}))
        asked = list(OF_INPUT) if name == "gap" else explainers
        maps = maps_of(model, both.images, asked, progress=progress, title=name)
        if name == "gap":
            maps["gap_attribution"] = _gap_maps(models["both"], models["lesion"], both.images)
        figures[name] = {explainer: benchmark_scores(found, both.regions, name, falls) for explainer, found in maps.items()}
    return ExplainerBenchmark(cases=cases, seed=seed, networks=tuple(networks), figures=figures, not_shown=NOT_SHOWN)


def shows(name: str) -> bool:
    """Return whether an explainer can be asked of one convolutional classifier."""
    return name not in NOT_SHOWN and "teacher" not in EXPLAINERS.entry(name).fact("NEEDS", frozenset())


def _accuracy(name: str, models: Mapping[str, nn.Module], held: Volumes) -> float:
    """Return how often a network answers rightly; of the gap how often the two part exactly where there is a lesion and no marker."""
    if name == "gap":
        first, second = (_scores(models[one], held.images).gt(0) for one in ("both", "lesion"))
        return float(((first != second) == (held.lesion & ~held.marker)).double().mean())
    return float((_scores(models[name], held.images).gt(0) == held.labels(name).bool()).double().mean())


def _gap_maps(teacher: nn.Module, student: nn.Module, images: Tensor) -> Tensor:
    """Return the maps of the explainer of gaps, [n, *space]."""
    options = {"teacher": teacher}
    return torch.cat([attribute(student, some, class_margin(1), explainer="gap_attribution", options=options) for some in images.split(8)])


def render(n: int, seed: int, *, lesion: bool | None, marker: bool | None) -> Volumes:
    """Render n volumes: with or without lesion and marker, or (None) each of both in every combination; all else is the same either way."""
    drawn = draw_cases(n, seed, contrast=(0.3, 0.45))
    rows = torch.arange(n)
    has_lesion = rows % 2 == 0 if lesion is None else torch.full((n,), lesion)
    has_marker = rows // 2 % 2 == 0 if marker is None else torch.full((n,), marker)
    there, masks = _rendered(replace(drawn, marker=has_marker), has_lesion)
    strokes = _rendered(replace(drawn, marker=torch.ones(n, dtype=torch.bool)), has_lesion)[0]
    clean = _rendered(replace(drawn, marker=torch.zeros(n, dtype=torch.bool)), has_lesion)[0]
    regions = torch.stack([masks > 0, (strokes - clean).abs() > 1e-3], dim=1)
    return Volumes(there[:, None], has_lesion, has_marker, regions)


def _rendered(cases: PhantomCases, has_lesion: Tensor) -> tuple[Tensor, Tensor]:
    """Return images in [-1, 1] and lesion masks, [n, *SIZE] both."""
    contrast = cases.lesion.clone()
    contrast[:, 5] = torch.where(has_lesion, contrast[:, 5], torch.zeros(()))
    shown = replace(cases, lesion=contrast, texture=torch.where(has_lesion, cases.texture, torch.zeros(())))
    pairs = [render_volume(shown, index) for index in range(len(cases))]
    images = window_intensity(torch.stack([hu for hu, _ in pairs]), TASK.window)
    masks = torch.stack([mask for _, mask in pairs]).float()
    return functional.avg_pool3d(images, (1, 2, 2)), functional.avg_pool3d(masks, (1, 2, 2)).ge(0.5).float()


def _trained(name: str, lessons: Volumes, folder: Path, seed: int, progress: bool, spec: NetworkSpec) -> nn.Module:
    """Return a network that tells what it was taught to, in eval mode."""
    full = spec.model_copy(update={"in_channels": 1, "out_channels": 2})
    model = build_network(full, seed=derive_seed("planted-network", name, seed) % 2**31)
    truth = lessons.labels(name)
    request = FitRequest(FIT, TASK, seed, folder / f"{name}-{seed}", f"{name}-{seed}-{full.digest()}", progress, f"train {name}")
    return fit(model, Objective((LossTerm(loss="cross_entropy"),)), _Lessons(lessons, truth), request)


def _scores(model: nn.Module, images: Tensor) -> Tensor:
    """Return the margin of "present", float64 [n]."""
    with torch.no_grad():
        logits = torch.cat([model.eval()(some) for some in images.split(16)])
    return class_margin(1)(logits).double()


def maps_of(model: nn.Module, images: Tensor, explainers: Sequence[str], *, progress: bool, title: str) -> dict[str, Tensor]:
    """Return the maps of every explainer and of the baselines, [n, *space]."""
    found = {name: make(images) for name, make in BASELINES.items()}
    for name in progress_bar(explainers, title=f"explain {title}", unit="explainer", enabled=progress):
        found[name] = torch.cat([attribute(model, some, class_margin(1), explainer=name) for some in images.split(8)])
    return found


def benchmark_scores(maps: Tensor, regions: Tensor, network: str, falls: Mapping[str, Tensor]) -> dict[str, Estimate]:
    """Return how well maps find what a network uses, over cases.

    Args:
        maps: [n, *space].
        regions: bool [n, 2, *space]: lesion and marker.
        network: which of them it uses; of the gap the marker.
        falls: of the score without either, [n] each.
    """
    used = {"lesion": regions[:, 0], "marker": regions[:, 1], "both": regions.any(1), "gap": regions[:, 1]}[network]
    values = {name: MEASURES.load(name)(maps, used) for name in LOCATED}
    values["share_error"] = share_error(maps, regions, falls["lesion"], falls["marker"])
    return {name: figure_of(value) for name, value in values.items() if not bool(value.isnan().all())}


def share_error(maps: Tensor, regions: Tensor, lesion: Tensor, marker: Tensor) -> Tensor:
    """Return |lesion's share of the attribution that lies on either - its share of what both falls make|, [n], 0 to 1.

    Our own definition, not published elsewhere. Only what speaks for the answer counts on both sides; NaN where nothing does.
    """
    mass = (maps.double().clamp_min(0)[:, None] * regions).flatten(2).sum(2)
    said = mass[:, 0] / mass.sum(1)
    falls = torch.stack([lesion, marker], dim=1).clamp_min(0)
    return (said - falls[:, 0] / falls.sum(1)).abs()


def figure_of(values: Tensor, *, unit: str = "") -> Estimate:
    """Return the mean over cases with its bootstrap interval; each case is one patient."""
    array = values.double().numpy()[None]
    figure = bootstrap_figure(mean_of(array), [str(row) for row in range(array.shape[1])], missing=int(np.isnan(array).sum()))
    return figure.model_copy(update={"unit": unit})
