"""What the explanation costs: a distillation step with a fusion term over the same step with soft labels alone.

``python -m tests.benchmarks.fusion_overhead --json``: figures are ratios of CPU seconds, medians over interleaved repeats; the last line is
one JSON object. One thread, bf16, the classifier and batch of the shortcut recipe.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import torch

import flows
from data_contracts import LossTerm, Role
from medkd.knowledge.interface import LiveKnowledge
from medkd.models._build import build_network
from medkd.phantom.render import draw_cases, render_key_slices
from medkd.trace import Sample, layer_map_of, trace
from medkd.training.objective import Objective
from medkd.training.recipes import network_spec, read_recipe
from medkd.volumes.window import window_intensity

KD = LossTerm(loss="logit_kd", options={"temperature": 4.0})
ARMS = {
    "kd": (KD,),
    "attribution_transfer": (KD, LossTerm(loss="attribution_transfer", weight=10.0, options={"distance": "squared"})),
    "attribution_transfer_cosine": (KD, LossTerm(loss="attribution_transfer", weight=1.0)),
    "cat_kd": (KD, LossTerm(loss="cat_kd")),
    "explanation_labels": (LossTerm(loss="explanation_labels"),),
    "attention_transfer": (KD, LossTerm(loss="attention_transfer")),
}
STEPS, REPEATS = 12, 9


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    torch.set_num_threads(1)
    recipe = read_recipe(Path(flows.__file__).parent / "recipes" / "shortcut.yaml")
    cases = draw_cases(32, 1)
    images, masks = render_key_slices(cases)
    image = window_intensity(images, recipe.task.window)[:, None].to(memory_format=torch.channels_last)
    sample = Sample(inputs={"image": image}, labels=cases.label, masks=masks)
    teacher = build_network(network_spec(recipe, Role.TEACHER)).to(memory_format=torch.channels_last).eval().requires_grad_(False)
    seconds: dict[str, list[float]] = {name: [] for name in ARMS}
    for repeat in range(REPEATS + 1):
        for name, terms in ARMS.items():
            taken = run(Objective(terms), recipe, teacher, sample)
            if repeat:  # the first round warms up
                seconds[name].append(taken)
    ratios = {name: [a / b for a, b in zip(values, seconds["kd"], strict=True)] for name, values in seconds.items() if name != "kd"}
    figures = {f"{name}_over_kd": round(statistics.median(values), 4) for name, values in ratios.items()}
    spread = {f"{name}_over_kd": [round(min(values), 4), round(max(values), 4)] for name, values in ratios.items()}
    if not as_json:
        for name, value in figures.items():
            sys.stdout.write(f"{name:40s} {value:.3f}  [{spread[name][0]:.3f}, {spread[name][1]:.3f}]\n")
    sys.stdout.write(json.dumps({"figures": figures, "peers": {}, "n": REPEATS, "least_and_most": spread}) + "\n")


def run(objective: Objective, recipe, teacher, sample) -> float:
    """Return the CPU seconds of a step: forward of both, backward, optimiser."""
    student = build_network(network_spec(recipe, Role.STUDENT)).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-3)
    layers = (layer_map_of(student).cam_layer,) if objective.needs & {"head", "explainer", "features"} else ()
    started = time.process_time()
    for _ in range(STEPS):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss, _ = objective(trace(student, sample.inputs, layers=layers), LiveKnowledge(teacher, sample.inputs), sample)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (time.process_time() - started) / STEPS


if __name__ == "__main__":
    main()
