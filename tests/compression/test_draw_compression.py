"""The picture says of each form what it is, and is hollow where it is refused."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from data_contracts import CompressionReport, Estimate, load_record
from medkd.compression.draw_compression import _said, draw_compression
from tests.flows.recording import GOLDEN

REPORT = load_record(GOLDEN / "compression_report_1.json", CompressionReport)


def pixels(report):
    return np.asarray(Image.open(io.BytesIO(draw_compression(report))).convert("RGB")).astype(int)


def test_the_same_report_is_the_same_picture_and_a_refused_form_is_hollow():
    assert draw_compression(REPORT) == draw_compression(REPORT)
    same = Estimate(mean=1.0, low=1.0, high=1.0, n=2)  # drawn in the brightest colour
    refused = REPORT.model_copy(update={"forms": tuple(one.model_copy(update={"map_rank_correlation": same}) for one in REPORT.forms)})
    accepted = refused.model_copy(update={"forms": tuple(one.model_copy(update={"refusals": ()}) for one in refused.forms)})
    filled, hollow = pixels(accepted), pixels(refused)
    yellow = [(np.abs(image - np.array([253, 231, 37])).sum(2) < 60).sum() for image in (filled, hollow)]
    assert yellow[0] > yellow[1]
    assert hollow.shape[1] > 1000


def test_names_say_the_reasons():
    torch, int8, slow = REPORT.forms
    assert _said(1, torch) == "1  torch (the version)"
    assert _said(2, int8) == "2  int8"
    assert _said(3, slow).endswith("refused: slower")


def test_without_times_or_maps_there_is_a_picture_all_the_same():
    bare = tuple(one.model_copy(update={"map_rank_correlation": None}) for one in REPORT.forms)
    untimed = REPORT.forms[1].model_copy(update={"seconds_per_case": None})
    assert draw_compression(REPORT.model_copy(update={"forms": (*bare, untimed)})).startswith(b"\x89PNG")
