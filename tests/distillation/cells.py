"""What the tests of a detector's terms share: a picture of 16 x 16 pixels with one lesion, on cells of 4 pixels."""

from __future__ import annotations

import torch

from medkd.trace import LayerMap, Sample, Trace, with_layer_map

#: Rows 4 to 8, columns 8 to 14 (ends left out): the centre lies in cell (1, 2).
LESION = (slice(4, 8), slice(8, 14))


def labelled(*, missing=False):
    labels = torch.zeros(1, 16, 16, dtype=torch.int64)
    labels[(0, *LESION)] = 1
    return Sample(inputs={"image": torch.zeros(1, 1, 16, 16)}, labels=torch.full_like(labels, -1) if missing else labels)


def traced(logits, boxes=None):
    model = with_layer_map(torch.nn.Identity(), LayerMap(feature_layers=(), cam_layer="", head=""))
    outputs = {"default": logits} if boxes is None else {"default": logits, "boxes": boxes}
    return Trace(model, {"image": torch.zeros(1, 1, 16, 16)}, outputs)
