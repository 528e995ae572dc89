"""What a network answers about cases of any size, and where its class map lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from data_contracts import Calibration, Task, TaskKind
from medkd.attribution.cam import cam
from medkd.inference.apply_calibration import apply
from medkd.inference.predict import predict_class_maps, predict_logits, predict_volume
from medkd.targets import class_margin, lesion_margin

#: Images whose maps are held at once.
_CHUNK = 64


@dataclass(frozen=True)
class Answers:
    """Answers about n cases.

    Attributes:
        probability: float64 [n, classes] of a classifier; empty of a segmenter.
        labels: int64 [*space] of each case of a segmenter; empty of a classifier.
        maps: magnitude of the class map of each case, float32 [*space]; empty where none were asked for.
    """

    probability: NDArray[np.float64]
    labels: tuple[Tensor, ...] = ()
    maps: tuple[Tensor, ...] = ()

    def of(self, rows: Sequence[int]) -> Answers:
        """Return the answers about some of the cases."""
        return Answers(
            self.probability[list(rows)],
            tuple(self.labels[row] for row in rows if self.labels),
            tuple(self.maps[row] for row in rows if self.maps),
        )


@dataclass(frozen=True)
class AuditedModel:
    """The network that is asked.

    Attributes:
        task: of the network.
        network: frozen or not; nothing is learnt.
        calibration: of its version; None of one without.
    """

    task: Task
    network: nn.Module
    calibration: Calibration | None = None

    @property
    def has_maps(self) -> bool:
        """Return whether class maps are made: of volumes that are segmented by windows they are not."""
        return self.task.kind is TaskKind.CLASSIFICATION or self.task.spatial_dims == 2

    def ask(self, images: Sequence[Tensor], *, maps: bool = False) -> Answers:
        """Return answers about images [*space]; with ``maps`` where each answer's class map lies.

        A classifier's map is of the class that it answers against the others, a segmenter's of what it marks.
        """
        if self.task.kind is TaskKind.SEGMENTATION and self.task.spatial_dims == 3:
            found = tuple(predict_volume(self.network, image[None], self.task).argmax(0) for image in images)
            return Answers(np.zeros((len(images), 0)), found)
        stacked = torch.stack(list(images))[:, None]
        logits, heat = self._explained(stacked) if maps else (None, ())
        if logits is None or self.task.test_time_flips:
            logits = predict_logits(self.network, stacked, flips=self.task.test_time_flips)
        if self.task.kind is TaskKind.SEGMENTATION:
            return Answers(np.zeros((len(images), 0)), tuple(logits.argmax(1)), heat)
        probability = logits.softmax(1).numpy() if self.calibration is None else apply(logits.numpy(), self.calibration)
        return Answers(probability.astype(np.float64), (), heat)

    def _explained(self, images: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return logits of the images as they are, and the magnitude of each answer's class map: both of one pass."""
        found: list[Tensor] = []
        answers: list[Tensor] = []
        for begin in range(0, len(images), _CHUNK):
            logits, _, trace = predict_class_maps(self.network, images[begin : begin + _CHUNK])
            answer = logits.argmax(1)
            target = class_margin(answer) if self.task.kind is TaskKind.CLASSIFICATION else lesion_margin((answer > 0).to(torch.uint8))
            found += cam(trace, target).abs().unbind(0)
            answers.append(logits)
        return torch.cat(answers), tuple(found)
