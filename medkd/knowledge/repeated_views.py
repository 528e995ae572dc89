"""A live teacher asked once about each view that training repeats.

Where views are only mirrored (or not changed at all), a run of ten epochs shows a frozen teacher the same pixels five to ten times. Its answers
are the same each time, so they are asked for before the first step: in batches that depend on the cohort alone, so that a run that was
interrupted goes on with the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import xxhash
from torch import Tensor, nn

from medkd.trace import Trace, trace

#: Largest memory in bytes that kept answers may take; a cohort with more is asked about step by step.
MOST_BYTES = 512 * 2**20


class RepeatedViews:
    """Outputs and features of a frozen network about a cohort's images, found again by the images' bytes.

    Args:
        network: in eval mode, with an anatomy.
        images: float32 [n, channel, *space], as training shows them unmirrored.
        mirrored: also keep the answers about the images with their last axis flipped.
        layers: names of layers to keep features of.
        batch: cases per pass.
    """

    def __init__(self, network: nn.Module, images: Tensor, *, mirrored: bool, layers: Sequence[str], batch: int) -> None:
        self._network = network
        self._rows: dict[int, int] = {}
        kept: list[Trace] = []
        asked = 0
        for view in (images, images.flip(-1)) if mirrored else (images,):
            for shown in view.split(batch):
                for place, name in enumerate(image_names(shown)):
                    self._rows.setdefault(name, asked + place)  # two equal images have one answer: the first one's
                with torch.no_grad():
                    kept.append(trace(network, shown, layers=layers))
                asked += len(shown)
        self._outputs = {name: torch.cat([one.outputs[name] for one in kept]) for name in kept[0].outputs}
        self._features = {name: torch.cat([one.features[name] for one in kept]) for name in kept[0].features}

    def trace_of(self, inputs: Mapping[str, Tensor]) -> Trace | None:
        """Return the kept pass over a batch, or None where one of its images was never asked about."""
        rows = [self._rows.get(name) for name in image_names(inputs["image"])]
        if None in rows:
            return None
        wanted = torch.tensor(rows)
        outputs = {name: value[wanted] for name, value in self._outputs.items()}
        return Trace(self._network, inputs, outputs, {name: value[wanted] for name, value in self._features.items()})


def image_names(images: Tensor) -> list[int]:
    """Return a 64-bit name of each image [batch, channel, *space] on the CPU, equal for equal bytes."""
    return [xxhash.xxh3_64_intdigest(memoryview(image.contiguous().numpy()).cast("B")) for image in images]


def fits(network: nn.Module, image: Tensor, *, views: int, layers: Sequence[str]) -> bool:
    """Return whether the answers about so many views of images like ``image`` [1, channel, *space] fit :data:`MOST_BYTES`."""
    with torch.no_grad():
        one = trace(network, image, layers=layers)
    return views * sum(value.nbytes for value in (*one.outputs.values(), *one.features.values())) <= MOST_BYTES
