"""The queue and the lines of the simulation, against what is known of them."""

from __future__ import annotations

import argparse

import pytest

from tests.benchmarks.scale import line, queue, simulate


@pytest.mark.parametrize("busy", [0.3, 0.6, 0.8])
def test_one_server_waits_as_pollaczek_and_khinchine_say(busy):
    """M/D/1: half the service, times busy over idle."""
    assert queue(busy / 2.0, 2.0, 1, arrivals=200_000) == pytest.approx(2.0 * busy / (2 * (1 - busy)), rel=0.06)


def test_more_servers_wait_less_and_without_work_nobody_waits():
    assert queue(1.0, 1.6, 2) > queue(1.0, 1.6, 3) > queue(1.0, 1.6, 8)
    assert queue(0.001, 0.1, 1) == pytest.approx(0.0, abs=1e-4)


def test_a_line_is_found_over_decades():
    points = [{"series": n, "cpu": 0.5 + 2e-4 * n} for n in (1e2, 1e3, 1e4, 1e5)]
    assert line(points, "cpu") == pytest.approx((0.5, 2e-4))


def test_the_limits_are_those_of_the_measured_parameters():
    found = {
        "ingest": [{"series": 100, "cpu": 10.0, "peak_mib": 100.0, "store_bytes": 1e6}],
        "one_more": [{"series": n, "cpu": 0.5 + 1e-4 * n, "peak_mib": 100 + 0.01 * n} for n in (1e2, 1e4)],
    }
    assumed = argparse.Namespace(studies=[1e6], series=4.0, years=5.0, hours=12.0, busy=0.7, update=1.0, memory=16.0)
    answer = simulate(found, assumed)
    working = 5 * 365 * 12 * 3600
    n = answer["limits"]["time"]
    assert n / working * (0.5 + 1e-4 * n) == pytest.approx(1.0)  # as many arrivals as one process can take
    assert answer["limits"]["memory"] == pytest.approx(16 * 1024 / 0.01)
    assert answer["capacity"] == pytest.approx(10_000)
    (row,) = answer["rows"]
    assert row["shards"] == 400
    assert row["workers"] * 0.7 >= row["rate"] * (0.5 + 1.0) > (row["workers"] - 1) * 0.7
