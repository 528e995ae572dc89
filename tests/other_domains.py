"""Cases that are no images: a table's rows (one channel, a place per column) and sentences (a channel per word, a place per position)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medkd.trace import LayerMap, with_layer_map

#: Words of the small language: reports say of a finding that it is there, or that it is not.
WORDS = ("the", "scan", "shows", "no", "lesion", "nodule", "today", "in", "left", "right", "lobe", "and", "seen", "clear", "old", "film")
FINDINGS, LENGTH = ("lesion", "nodule"), 12


class TableNetwork(nn.Module):
    """Each column by itself through a small embedding, then all of them through two linear layers."""

    def __init__(self, columns: int, width: int) -> None:
        super().__init__()
        self.columns = nn.Sequential(nn.Conv1d(1, 4, 1), nn.Tanh())
        self.hidden = nn.Sequential(nn.Flatten(), nn.Linear(4 * columns, width), nn.ReLU())
        self.head = nn.Linear(width, 2, bias=False)
        with_layer_map(self, LayerMap(feature_layers=("columns",), cam_layer="columns", head="head"))

    def forward(self, row: Tensor) -> Tensor:
        """Return logits [batch, 2] of rows [batch, 1, columns]."""
        logits: Tensor = self.head(self.hidden(self.columns(row)))
        return logits


class TextNetwork(nn.Module):
    """An embedding, two convolutions over positions, the average, a linear head."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embedding = nn.Conv1d(len(WORDS), width, 1, bias=False)
        self.body = nn.Sequential(nn.Conv1d(width, width, 3, padding=1), nn.ReLU(), nn.Conv1d(width, width, 3, padding=1), nn.ReLU())
        self.head = nn.Linear(width, 2, bias=False)
        with_layer_map(self, LayerMap(feature_layers=("embedding", "body"), cam_layer="body", head="head"))

    def forward(self, text: Tensor) -> Tensor:
        """Return logits [batch, 2] of sentences [batch, words, positions], one-hot."""
        logits: Tensor = self.head(self.body(self.embedding(text)).mean(2))
        return logits


def table() -> tuple[Tensor, Tensor]:
    """Return scikit-learn's breast cancer table, [569, 1, 30] standardised, and 1 where malignant."""
    from sklearn.datasets import load_breast_cancer

    found = load_breast_cancer()
    values = torch.tensor(found.data, dtype=torch.float32)
    return ((values - values.mean(0)) / values.std(0))[:, None], torch.tensor(1 - found.target)


def sentences(n: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return sentences [n, words, positions], 1 where a finding is said to be there, and where its word stands, uint8 [n, positions]."""
    draw = torch.Generator().manual_seed(seed)
    filler = [index for index, word in enumerate(WORDS) if word not in (*FINDINGS, "no")]
    text = torch.tensor(filler)[torch.randint(0, len(filler), (n, LENGTH), generator=draw)]
    labels, place = torch.arange(n) % 2, torch.randint(1, LENGTH, (n,), generator=draw)
    rows = torch.arange(n)
    text[rows, place] = torch.tensor([WORDS.index(word) for word in FINDINGS])[torch.randint(0, 2, (n,), generator=draw)]
    # The word alone says nothing: of both classes a finding is named, of one it is denied.
    text[rows[labels == 0], place[labels == 0] - 1] = WORDS.index("no")
    where = torch.zeros(n, LENGTH, dtype=torch.uint8)
    where[rows, place], where[rows, place - 1] = 1, 1
    return nn.functional.one_hot(text, len(WORDS)).movedim(2, 1).float(), labels, where
