from __future__ import annotations

import pytest
import torch

from medkd.planning.processor import processor_name

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is named by torch")


def test_the_processor_is_named_with_its_instructions(tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nmodel name\t: Some Processor 9\n")
    assert processor_name(info) == f"Some Processor 9 ({torch.backends.cpu.get_cpu_capability()})"
    assert processor_name(tmp_path / "none").endswith(f"({torch.backends.cpu.get_cpu_capability()})")
