"""Coloured digits, the shortcut test of TEA (2407.09788): does copying explanations keep a student off a colour that goes with the class?

``python -m tests.benchmarks.coloured_digits --json``: the 1797 digits of scikit-learn, 8 x 8, each in one of ten colours. The students' colours go with
the class in 95 % of their 900 digits and are random in the 897 of the unbiased test; the teacher learned from random colours. Three seeds (split, colours, weights). The
weight of the input gradients was chosen on a split of its own (seed 100, of 1 and 10), that of the class maps is ``flows/recipes/shortcut.yaml``'s. Accuracy on the unbiased test with 95 % intervals over seeds
and digits; differences are paired. Explanations are input gradients (``jacobian_matching``); class maps behind the last layer are an arm of their own.
Three minutes on one core.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from data_contracts import AttributionSource, Estimate, LossTerm
from medkd.evaluation.bootstrap import bootstrap_figure
from medkd.knowledge.source import LiveSource
from medkd.trace import LayerMap, Sample, trace, with_layer_map
from medkd.training.objective import Objective
from tests.benchmarks.command import asks_for_json

SEEDS, TRAINED_ON, BIAS, CLASSES = (0, 1, 2), 900, 0.95, 10
EPOCHS, BATCH, LEARNING_RATE = 20, 60, 0.01
TEACHER_WIDTH, STUDENT_WIDTH = 24, 8
_TASK = LossTerm(loss="cross_entropy")
_SOFT = LossTerm(loss="logit_kd", options={"temperature": 4.0})
#: Explanations at the input, of which colours are a part, and class maps behind all layers.
_INPUT = LossTerm(loss="jacobian_matching", weight=10.0)
_MAPS = LossTerm(loss="attribution_transfer", weight=10.0, options={"explainer": "cam", "distance": "squared"})
#: Terms of each arm, and whose explanations it reads.
ARMS: dict[str, tuple[tuple[LossTerm, ...], AttributionSource]] = {
    "alone": ((_TASK,), AttributionSource.TEACHER),
    "kd": ((_TASK, _SOFT), AttributionSource.TEACHER),
    "kd_explanation": ((_TASK, _SOFT, _INPUT), AttributionSource.TEACHER),
    "kd_class_maps": ((_TASK, _SOFT, _MAPS), AttributionSource.TEACHER),
    "attribution_only": ((_INPUT,), AttributionSource.TEACHER),
    "another_image": ((_TASK, _SOFT, _INPUT), AttributionSource.ANOTHER_PATIENT),
    "gaussian": ((_TASK, _SOFT, _INPUT), AttributionSource.CENTRE_GAUSSIAN),
}
CONTRASTS = (
    *(("kd_explanation", other) for other in ("kd", "another_image", "gaussian", "alone")),
    *(("attribution_only", "kd"), ("kd_class_maps", "kd"), ("kd", "alone"), ("another_image", "kd"), ("gaussian", "kd")),
)


class DigitNetwork(nn.Module):
    """Three convolutions, the global average, a linear head without bias: class maps are closed-form."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels in (3, width, width):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
        self.body, self.head = nn.Sequential(*layers), nn.Linear(width, CLASSES, bias=False)
        with_layer_map(self, LayerMap(feature_layers=("body",), cam_layer="body", head="head"))

    def forward(self, image: Tensor) -> Tensor:
        """Return logits [batch, 10] of an image [batch, 3, 8, 8]."""
        logits: Tensor = self.head(self.body(image).flatten(2).mean(2))
        return logits


@dataclass(frozen=True)
class Digits:
    """Images [n, 3, 8, 8] in colours, and labels [n]."""

    images: Tensor
    labels: Tensor


def main() -> None:
    """Train all arms under all seeds and print the figures."""
    quiet = asks_for_json(__doc__)
    torch.set_num_threads(1)
    correct: dict[str, list[Tensor]] = {name: [] for name in ("teacher", *ARMS)}
    for seed in SEEDS:
        for name, right in one_seed(seed).items():
            correct[name].append(right)
        if not quiet:
            print({name: round(float(found[-1].mean()), 3) for name, found in correct.items()}, file=sys.stderr, flush=True)
    shown: dict[str, object] = {"n": len(correct["kd"][0]), "seeds": len(SEEDS)}
    for name, found in correct.items():
        shown |= written(name, figure(found))
    for first, second in CONTRASTS:
        shown |= written(f"{first}_minus_{second}", figure([a - b for a, b in zip(correct[first], correct[second], strict=True)]))
    sys.stdout.write(json.dumps({"figures": shown, "peers": {}, "n": shown["n"]}) + "\n")


def one_seed(seed: int) -> dict[str, Tensor]:
    """Return per arm which digits of the unbiased test it gets right, float [897]."""
    gray, labels = digits()
    order = torch.randperm(len(gray), generator=torch.Generator().manual_seed(seed))
    train, test = order[:TRAINED_ON], order[TRAINED_ON:]
    unbiased = Digits(coloured(gray[test], labels[test], 0.0, seed + 100), labels[test])
    for_teacher = Digits(coloured(gray[train], labels[train], 0.0, seed + 200), labels[train])
    for_students = Digits(coloured(gray[train], labels[train], BIAS, seed + 300), labels[train])
    teacher = trained(TEACHER_WIDTH, for_teacher, (_TASK,), None, seed + 1000).requires_grad_(False)
    found = {"teacher": right(teacher, unbiased)}
    for name, (terms, whose) in ARMS.items():
        found[name] = right(trained(STUDENT_WIDTH, for_students, terms, LiveSource(teacher, attribution_source=whose), seed), unbiased)
    return found


def digits() -> tuple[Tensor, Tensor]:
    """Return the digits of scikit-learn, float32 [1797, 8, 8] in [0, 1], and their labels."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return torch.tensor(found.images, dtype=torch.float32) / 16, torch.tensor(found.target)


def coloured(gray: Tensor, labels: Tensor, bias: float, seed: int) -> Tensor:
    """Return digits in colours: that of the class with probability ``bias``, otherwise any of the ten; [n, 3, 8, 8]."""
    draw = torch.Generator().manual_seed(seed)
    hue = (
        torch.where(torch.rand(len(gray), generator=draw) < bias, labels, torch.randint(0, CLASSES, (len(gray),), generator=draw)) / CLASSES
    )
    # Ten hues of one brightness: a channel each third of the circle.
    palette = 0.6 + 0.4 * torch.cos(2 * torch.pi * (hue[:, None] - torch.tensor([0.0, 1 / 3, 2 / 3])))
    return gray[:, None] * palette[:, :, None, None]


def trained(width: int, data: Digits, terms: tuple[LossTerm, ...], source: LiveSource | None, seed: int) -> nn.Module:
    """Return a network trained by some terms, in eval mode."""
    torch.manual_seed(seed)
    network, objective = DigitNetwork(width), Objective(terms)
    steps = EPOCHS * len(data.labels) // BATCH
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(data.labels)).split(BATCH):
            sample = Sample(inputs={"image": data.images[rows]}, labels=data.labels[rows])
            loss, _values = objective(
                trace(network, sample.inputs, layers=("body",)), None if source is None else source.for_batch(sample), sample
            )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    return network.eval()


def right(network: nn.Module, data: Digits) -> Tensor:
    """Return 1 for each digit that is answered rightly, 0 otherwise."""
    with torch.no_grad():
        return (network(data.images).argmax(1) == data.labels).double()


def figure(per_seed: list[Tensor]) -> Estimate:
    """Return the mean over seeds and digits with its interval; digits are resampled within the split of each seed."""

    def mean(rows: np.ndarray, seed: int) -> float:
        return float(per_seed[seed][torch.tensor(rows)].mean())

    return bootstrap_figure(mean, [str(row) for row in range(len(per_seed[0]))], seeds=len(per_seed))


def written(name: str, estimate: Estimate) -> dict[str, object]:
    """Return an estimate as flat figures."""
    return {name: round(estimate.mean, 4), f"{name}_low": round(estimate.low, 4), f"{name}_high": round(estimate.high, 4)}


if __name__ == "__main__":
    main()
