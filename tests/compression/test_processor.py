"""The processor is named with what it has and lacks."""

from __future__ import annotations

import pytest

from medkd.compression.processor import processor


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model name\t: AMD EPYC\nflags\t: fpu avx2\n", "AMD EPYC (avx2; no avx_vnni, avx512_vnni, amx_int8)"),
        (
            "model name\t: Xeon\nflags\t: avx2 avx512f avx_vnni avx512_vnni amx_int8\n",
            "Xeon (avx2, avx512f, avx_vnni, avx512_vnni, amx_int8)",
        ),
        ("model name\t: Arm\nFeatures\t: fp asimddp i8mm\n", "Arm (asimddp, i8mm; no avx_vnni, avx512_vnni, amx_int8)"),
        ("model name\t: Old\nflags\t: fpu\n", "Old (none of those that matter; no avx_vnni, avx512_vnni, amx_int8)"),
        ("model name\t: Unknown\n", "Unknown (its instructions are not known)"),
    ],
)
def test_name_and_instructions(tmp_path, text, said):
    path = tmp_path / "cpuinfo"
    path.write_text(text)
    assert processor(path) == said


def test_without_the_file_something_is_said(tmp_path):
    assert "not known" in processor(tmp_path / "none")
