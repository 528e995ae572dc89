"""The sheet of examples: a row of pictures per artefact, the same bytes twice."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from medkd.audit.audit_model import Audit
from medkd.audit.draw_audit import draw_audit


def test_every_artefact_has_its_pictures_and_the_bytes_are_the_same_twice(audits):
    drawn = draw_audit(audits["biased"])
    assert drawn == draw_audit(audits["biased"])
    pixels = np.asarray(Image.open(io.BytesIO(drawn)).convert("RGB")).astype(int)
    # The name of what is followed is red, of what is silent green: nothing else of the sheet is.
    red = (pixels[..., 0] - pixels[..., 1] > 90) & (pixels[..., 2] < 90) & (pixels[..., 0] > 150)
    assert red.any()


def test_of_a_volume_the_slice_that_changed_most_is_shown(audits):
    audit = audits["biased"]
    example = audit.examples[0]
    deep = {name: torch.stack([getattr(example, name)] * 3) for name in ("before", "control")}
    after = deep["before"].clone()
    after[2] = example.after
    volume = replace(example, **deep, after=after, heat=None)
    assert draw_audit(Audit(audit.report, (volume,)))[:4] == b"\x89PNG"
