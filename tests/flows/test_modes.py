"""The smoke chain wherever its tasks run: the same digests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = [pytest.mark.extended, pytest.mark.xdist_group("demo"), pytest.mark.timeout(600)]


def digests(summary):
    return {(one["name"], one["version"]): one["digest"] for one in summary["models"]}


@pytest.mark.parametrize("runner", ["threads", "processes", "dask"])
def test_the_chain_gives_the_same_digests_in_every_mode(smoke, medkd, tmp_path, runner):
    root = str(Path(__file__).parents[2])
    own = {"MEDKD_WORKERS": "2", "PYTHONPATH": root, "XDG_CACHE_HOME": str(smoke.cache), "MEDKD_ENGINE": "prefect"}
    done = medkd("demo", "--size", "smoke", "--task-runner", runner, "--json", cwd=tmp_path, **own)
    assert done.returncode == 0, done.stderr[-3000:]
    assert digests(json.loads(done.stdout.splitlines()[-1])) == digests(smoke.summary)
