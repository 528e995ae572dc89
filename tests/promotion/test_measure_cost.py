"""The cost of a serving form, measured."""

from __future__ import annotations

import numpy as np
import pytest

from data_contracts import NetworkSpec, RegistryError, Task
from medkd.models._build import build_network
from medkd.promotion.measure_cost import measure_cost
from medkd.serving.export_onnx import export_onnx

TASK = Task(kind="classification", classes=("a", "b"), image_size=(16, 16))


@pytest.mark.extended
def test_a_form_is_measured_apart_from_what_this_process_holds(tmp_path):
    held = np.ones(100_000_000)  # 800 MB, which a child that was forked from here would seem to have had
    form = tmp_path / "model.onnx"
    form.write_bytes(export_onnx(build_network(NetworkSpec(builder="resnet", options={"channels": (2, 2, 2, 2)}), seed=0), TASK).payload)
    cost = measure_cost(form, TASK)
    assert held.nbytes / 2**20 > 700 > cost.peak_mib > 10
    assert 0 < cost.latency_ms < 1000
    assert cost.size_mib == form.stat().st_size / 2**20


def test_a_form_that_is_none_is_said(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"none")
    with pytest.raises(RegistryError) as caught:
        measure_cost(tmp_path / "model.onnx", TASK)
    assert caught.value.code == "COST_NOT_MEASURED"
