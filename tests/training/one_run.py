"""One training run in a process of its own, alone or as one of those that torchrun starts: what tests kill and compare.

``python one_run.py FOLDER [--slow SECONDS] [--terms coupled]`` prints its losses and a digest of its weights as one line of JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from pathlib import Path

import torch

from data_contracts import LossBalancing, LossTerm, NetworkSpec, Task, TrainingConfig
from medkd.knowledge.source import LiveSource
from medkd.models._build import build_network
from medkd.storage.metrics_log import TIME, MetricsLog
from medkd.trace import Sample
from medkd.training import fit as loop
from medkd.training.fit import FitRequest, fit
from medkd.training.objective import Objective

SIZE = 16
TASK = Task(kind="classification", classes=("a", "b", "c"), image_size=(SIZE, SIZE))
TERMS = {
    "own": (LossTerm(loss="cross_entropy"), LossTerm(loss="logit_kd", temperature={"kind": "learned", "first": 4.0}), LossTerm(loss="hint", every=2), LossTerm(loss="attribution_transfer")),
    "coupled": (LossTerm(loss="cross_entropy"), LossTerm(loss="dist_kd"), LossTerm(loss="crd"), LossTerm(loss="attribution_transfer", options={"distance": "squared"}), LossTerm(loss="cat_kd")),
}  # fmt: skip


class Cases:
    """Cases drawn from a seed; some have no label and some weigh more."""

    def __len__(self):
        return 64

    def draw(self, rows, task, config, generator):
        drawn = torch.Generator().manual_seed(7)
        images, labels = torch.randn(64, 1, SIZE, SIZE, generator=drawn), torch.randint(-1, 3, (64,), generator=drawn)
        weights = torch.rand(64, generator=drawn)
        return Sample(inputs={"image": images[rows]}, labels=labels[rows], weights=weights[rows])

    def patients(self):
        return [str(i) for i in range(64)]


def without_statistics(network):
    """Use running statistics in training too: what a case contributes must not depend on which process sees it."""
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.train = lambda _mode=True, own=module: own
            module.training = False
    return network


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--slow", type=float, default=0.0)
    parser.add_argument("--terms", choices=TERMS, default="own")
    parser.add_argument("--epochs", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    specs = [NetworkSpec(builder="resnet", out_channels=3, options={"channels": c}) for c in ((4, 4, 6, 8), (6, 8, 8, 12))]
    student, teacher = (without_statistics(build_network(spec, seed=seed)) for seed, spec in enumerate(specs))
    config = TrainingConfig(epochs=given.epochs, batch_size=16, learning_rate=0.01, precision="fp32", ema=0.9, clip_norm=5.0)
    balance = LossBalancing(norms=True, do_no_harm=True, every=2)
    request = FitRequest(config, TASK, 3, given.folder, "k", balance=balance, save_seconds=0.0)
    real = loop.Trainer.batch

    def slowed(self, index, sample):
        real(self, index, sample)
        time.sleep(given.slow)

    loop.Trainer.batch = slowed
    fitted = fit(student, Objective(TERMS[given.terms]), Cases(), request, teacher=LiveSource(teacher))
    digest = hashlib.sha256(b"".join(value.numpy().tobytes() for value in fitted.state_dict().values())).hexdigest()
    if int(os.environ.get("RANK", "0")) == 0:
        losses = [
            {k: v for k, v in line.items() if k not in ("seconds", TIME) and not k.startswith("system/")}
            for line in MetricsLog(given.folder / "metrics.jsonl").read()
        ]
        sys.stdout.write(json.dumps({"digest": digest, "epochs": losses}) + "\n")


if __name__ == "__main__":
    main()
