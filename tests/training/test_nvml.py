from __future__ import annotations

import pytest
import torch

from medkd.training.nvml import gpu_joules


def test_a_processor_has_no_such_counter():
    assert gpu_joules(torch.device("cpu")) is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_counts_upwards():
    device = torch.device("cuda", 0)
    before = gpu_joules(device)
    if before is None:
        pytest.skip("this GPU does not count its energy")
    matrix = torch.rand(4096, 4096, device=device)
    for _ in range(200):
        matrix = torch.tanh(matrix @ matrix)
    torch.cuda.synchronize()
    assert gpu_joules(device) > before
