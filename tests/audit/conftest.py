"""Small pictures with lesions, and two networks that learned from them: one by the lesion, one by a mark in the corner."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from data_contracts import NetworkSpec, ReportModel, Task
from medkd.audit.answers import AuditedModel
from medkd.audit.audit_model import AuditSubject, audit_folder
from medkd.audit.open_folder import open_folder
from medkd.cohorts.external_dataset import FolderHints, describe_folder
from medkd.models._build import build_network
from medkd.storage.store import Store

SIDE = 48
TASK = Task(kind="classification", classes=("benign", "malignant"), image_size=(SIDE, SIDE), window=(0, 255))
SPEC = NetworkSpec(builder="resnet", options={"channels": (6, 8, 8, 8)})
#: Asked about in tests: one that is planted, one that looks otherwise, a setting, and what is taken out.
ASKED = ("corner_mark", "ruler", "noise", "burnt_in_removed")


def draw(rng, label, marked):
    """Return a picture of speckle with a lesion, bright where the label is 1 and dark where it is 0, and its mask."""
    picture = rng.normal(90, 12, (SIDE, SIDE))
    row, column = rng.integers(18, 32, 2)
    rows, columns = np.ogrid[:SIDE, :SIDE]
    mask = ((rows - row) / 6) ** 2 + ((columns - column) / 8) ** 2 < 1
    picture[mask] += 70 if label else -60
    if marked:  # two strokes at a right angle, drawn here and not by the code that is tested
        top, left = rng.integers(1, 4, 2)
        picture[top : top + 6, left : left + 2] = picture[top + 4 : top + 6, left : left + 6] = 255
    return np.clip(picture, 0, 255).astype(np.uint8), mask


def trained(marker_says_it):
    """Return a tiny network that learned the label; the lesion tells nothing where the marker says it."""
    rng, network = np.random.default_rng(5), build_network(SPEC, seed=1)
    labels = torch.arange(96) % 2
    shown = [
        draw(rng, int(rng.integers(2)) if marker_says_it else int(y), bool(y) if marker_says_it else bool(rng.integers(2)))[0]
        for y in labels
    ]
    images = torch.from_numpy(np.stack(shown)).float()[:, None] / 127.5 - 1
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.01)
    for step in range(72):
        rows = torch.arange(16) + 16 * (step % 6)
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(images[rows]), labels[rows]).backward()
        optimiser.step()
    return network.eval()


@pytest.fixture(scope="session")
def clinic(tmp_path_factory) -> Path:
    """Return a folder of 32 pictures of 16 patients without a mark; the device of the last tells the class."""
    root, rng, lines = tmp_path_factory.mktemp("audited") / "clinic", np.random.default_rng(0), []
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for number in range(32):
        label = number // 2 % 2
        picture, mask = draw(rng, label, False)
        Image.fromarray(picture).save(root / "images" / f"x{number}.png")
        Image.fromarray(mask).save(root / "masks" / f"x{number}.png")
        device = "AB"[label] if number > 3 else "AB"[number % 2]
        lines.append(
            {"id": f"x{number}", "patient": f"Doe {number // 2}", "label": TASK.classes[label], "device": device, "side": "lr"[number % 2]}
        )
    with (root / "cases.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, lines[0])
        writer.writeheader()
        writer.writerows(lines)
    return root


@pytest.fixture(scope="session")
def folder(clinic, tmp_path_factory):
    data = describe_folder(clinic, TASK, FolderHints())
    return open_folder(clinic, data, TASK, Store(tmp_path_factory.mktemp("scratch"), "scratch"))


@dataclass(frozen=True)
class Networks:
    """One that learned the lesion, and one that learned the corner mark."""

    clean: nn.Module
    biased: nn.Module


@pytest.fixture(scope="session")
def networks():
    return Networks(trained(False), trained(True))


def subject(name):
    model = ReportModel(role="student", name=name, version=1, manifest_digest="a" * 64, parameters=1)
    return AuditSubject(model, "b" * 64, "clinic", 0.05)


@pytest.fixture(scope="session")
def audits(folder, networks):
    """Return the audits of both networks by name."""
    return {
        name: audit_folder(AuditedModel(TASK, getattr(networks, name)), folder, ASKED[:3], subject(name)) for name in ("clean", "biased")
    }
