"""Mutated DICOM: bit flips, truncations, swapped tags, lies about lengths; and the promise that ingestion keeps whatever comes."""

from __future__ import annotations

import random
import shutil
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path

from data_contracts import Action, IngestPolicy
from medkd.dicom.ingest import IngestRequest, ingest


def flip_bits(payload: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 3, 20, 200))):
        place = rng.randrange(len(payload)) if rng.random() < 0.3 else rng.randrange(min(len(payload), 3000))
        payload[place] ^= 1 << rng.randrange(8)


def truncate(payload: bytearray, rng: random.Random) -> None:
    del payload[rng.randrange(len(payload)) :]


def swap_tags(payload: bytearray, rng: random.Random) -> None:
    """Exchange two pieces of the header that look like elements."""
    places = [i for i in range(132, min(len(payload) - 8, 4000)) if payload[i + 4 : i + 6].isalpha() and payload[i + 4 : i + 6].isupper()]
    if len(places) > 1:
        a, b = rng.sample(places, 2)
        payload[a : a + 4], payload[b : b + 4] = payload[b : b + 4], payload[a : a + 4]


def lie_about_length(payload: bytearray, rng: random.Random) -> None:
    """Write a wild length over two or four bytes of the header."""
    place = rng.randrange(132, max(133, min(len(payload) - 4, 4000)))
    wild = rng.choice((0, 1, 0xFFFF, 0xFFFFFFFF, 0x7FFFFFFF, rng.randrange(2**32)))
    payload[place : place + 4] = struct.pack("<I", wild)


def duplicate_part(payload: bytearray, rng: random.Random) -> None:
    begin = rng.randrange(len(payload))
    payload[begin:begin] = payload[begin : begin + rng.randrange(1, 400)]


MUTATIONS = (flip_bits, truncate, swap_tags, lie_about_length, duplicate_part)


def mutate(payload: bytes, rng: random.Random) -> bytes:
    result = bytearray(payload)
    for _ in range(rng.choice((1, 1, 2))):
        if len(result) > 200:
            rng.choice(MUTATIONS)(result, rng)
    return bytes(result)


@dataclass
class FuzzReport:
    """What became of all mutated files."""

    mutated: int = 0
    volumes: int = 0
    unaccounted: int = 0
    slowest_seconds: float = 0.0
    codes: dict[str, int] = field(default_factory=dict)


def fuzz(seeds: list[Path], series: list[list[Path]], work: Path, *, files: int, seed: int, batch: int = 50) -> FuzzReport:
    """Ingest mutated copies under every policy in turn: loose files in batches, and whole series in which a few are mutated.

    In a series the others are sound, so that what is wrong is met late: while solving, comparing or decoding.
    """
    rng, report = random.Random(seed), FuzzReport()
    payloads = [path.read_bytes() for path in seeds]
    policies = [IngestPolicy(), IngestPolicy(every=Action.REPAIR), IngestPolicy(every=Action.ACCEPT_WITH_FLAG)]
    turn = 0
    while report.mutated < files:
        source, out = work / "in", work / "out"
        for folder in (source, out):
            shutil.rmtree(folder, ignore_errors=True)
        source.mkdir(parents=True)
        if turn % 2:
            members = [path.read_bytes() for path in rng.choice(series)]
            for place in rng.sample(range(len(members)), rng.choice((1, 2))):
                members[place] = mutate(members[place], rng)
                report.mutated += 1
        else:
            members = [mutate(rng.choice(payloads), rng) for _ in range(min(batch, files - report.mutated))]
            report.mutated += len(members)
        for index, payload in enumerate(members):
            (source / f"f{index:03d}.dcm").write_bytes(payload)
        started = time.perf_counter()
        ledger = ingest(IngestRequest(source, out, policies[turn % len(policies)]), secret=b"fuzz")
        report.slowest_seconds = max(report.slowest_seconds, time.perf_counter() - started)
        report.unaccounted += len(members) - len(ledger.files)
        report.volumes += len(ledger.series)
        for code, count in ledger.codes().items():
            report.codes[code] = report.codes.get(code, 0) + count
        turn += 1
    return report
