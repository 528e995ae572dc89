from __future__ import annotations

import io

import numpy as np
from PIL import Image

from medkd.drift.compare_window import DriftSettings
from medkd.drift.draw_drift import draw_drift
from medkd.drift.follow_windows import follow_windows
from tests.drift.profiles import dated, drawn, reference

SETTINGS = DriftSettings(alarm_rate=0.1, window_studies=10, permutations=199)


def test_windows_with_an_alarm_are_grey_and_the_same_report_gives_the_same_picture():
    clean = follow_windows(reference(), dated(drawn(20, 1)), SETTINGS)
    moved = follow_windows(reference(), [*dated(drawn(10, 1)), *dated(drawn(10, 2, images=4.0), day=1)], SETTINGS)
    grey = []
    for report in (clean, moved):
        picture = draw_drift(report)
        assert picture == draw_drift(report)
        pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))
        assert pixels.shape[0] > 400
        grey.append(int((np.abs(pixels.astype(int) - 230).max(-1) <= 1).sum()))
    assert grey[1] > grey[0] + 5000
