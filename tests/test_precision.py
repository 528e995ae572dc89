"""bf16 where the hardware computes it, fp32 elsewhere, and one warning where somebody insists."""

from __future__ import annotations

import logging

import pytest
import torch

from medkd import precision
from medkd.precision import bf16_slowdown, cpu_flags, has_native_bf16, resolve_precision, warn_of_slow_precision

CPU = torch.device("cpu")
INFO = "processor\t: 0\nflags\t\t: fpu sse2 avx2 {extra}\n\nprocessor\t: 1\nflags\t\t: fpu\n"


@pytest.fixture
def machine(monkeypatch):
    """Return a setter of what this processor is said to have; variables that hold it back are unset."""
    for variable in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        monkeypatch.delenv(variable, raising=False)

    def be(*flags: str, capability: str = "AVX512") -> None:
        precision._cpu_has_bf16.cache_clear()
        monkeypatch.setattr(precision, "cpu_flags", lambda: frozenset(flags))
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)

    yield be
    precision._cpu_has_bf16.cache_clear()


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        (("avx2",), "fp32"),
        (("avx2", "avx512f", "avx512_vnni"), "fp32"),
        (("avx512f", "avx512_bf16"), "bf16"),
        (("avx512f", "amx_tile", "amx_bf16"), "bf16"),
        (("asimd", "bf16"), "bf16"),
    ],
)
def test_auto_follows_the_processor(machine, flags, wanted):
    machine(*flags)
    assert resolve_precision("auto", CPU) == wanted


def test_what_was_asked_for_by_name_is_what_is_used(machine):
    machine("avx2")
    assert resolve_precision("bf16", CPU) == "bf16"
    machine("avx512_bf16")
    assert resolve_precision("fp32", CPU) == "fp32"


def test_a_processor_that_is_held_to_older_instructions_counts_as_an_older_one(machine, monkeypatch):
    monkeypatch.setattr(precision.platform, "machine", lambda: "x86_64")
    machine("avx512_bf16", capability="AVX2")  # ATEN_CPU_CAPABILITY=avx2
    assert not has_native_bf16(CPU)
    machine("avx512_bf16")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "avx2")
    assert not has_native_bf16(CPU)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_AMX")
    assert has_native_bf16(CPU)


@pytest.mark.parametrize(("capability", "native"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_a_gpu_computes_bf16_from_compute_capability_eight(monkeypatch, capability, native):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert has_native_bf16(torch.device("cuda", 0)) is native


def test_apples_gpu_trains_in_float32():
    assert resolve_precision("auto", torch.device("mps")) == "fp32"


def test_flags_are_read_off_the_first_processor(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text(INFO.format(extra="avx512_bf16"))
    assert {"avx2", "avx512_bf16"} <= cpu_flags(path)
    path.write_text("processor : 0\nFeatures\t: fp asimd bf16\n")
    assert "bf16" in cpu_flags(path)


def test_bf16_where_it_is_emulated_is_one_warning_with_the_factor(machine, monkeypatch, caplog):
    machine("avx2")
    monkeypatch.setattr(precision, "bf16_slowdown", lambda: 17.2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with caplog.at_level(logging.WARNING, "medkd"):
        warn_of_slow_precision(["bf16", "auto", "bf16"])
        warn_of_slow_precision(["auto", "fp32"])
    assert [record.getMessage() for record in caplog.records] == [
        "precision: bf16 was asked for and this cpu only emulates it, about 17 times slower than fp32 here; precision: auto avoids that"
    ]


def test_the_factor_is_measured_and_measuring_draws_nothing_from_the_run():
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    factor = bf16_slowdown(repeats=1)
    assert factor > 0
    assert torch.equal(torch.rand(3), wanted)
