"""The processor that seconds and memory were measured on, and its instructions that decide what 8-bit integers gain."""

from __future__ import annotations

import platform
from pathlib import Path

#: As Linux calls them; without one of the VNNI kind or AMX, products of 8-bit integers take three instructions.
INSTRUCTIONS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "asimddp", "i8mm")


def processor(info: Path = Path("/proc/cpuinfo")) -> str:
    """Return name and instructions: ``AMD EPYC … (avx2; no avx_vnni, avx512_vnni, amx_int8)``; one core is what is measured."""
    known: dict[str, str] = {}
    if info.is_file():
        lines = (line.partition(":") for line in info.read_text(encoding="utf-8", errors="replace").splitlines())
        known = {name.strip(): value.strip() for name, _, value in lines}
    name = known.get("model name") or platform.processor() or platform.machine()
    flags = set((known.get("flags") or known.get("Features") or "").split())
    if not flags:
        return f"{name} (its instructions are not known)"
    lacking = [one for one in ("avx_vnni", "avx512_vnni", "amx_int8") if one not in flags]
    there = ", ".join(one for one in INSTRUCTIONS if one in flags) or "none of those that matter"
    return f"{name} ({there}{'; no ' + ', '.join(lacking) if lacking else ''})"
