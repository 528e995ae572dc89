"""On one SQLite registry and on a real server, in processes: eight promoters at once, and one that is killed."""

from __future__ import annotations

import multiprocessing
import shutil
import signal

import pytest

from tests.promotion import promoters
from tests.registry.tracking_process import TrackingProcess

#: Eight processes that each import torch: a minute of two cores.
pytestmark = pytest.mark.extended


@pytest.fixture(scope="module")
def processes():
    """Return a maker of processes from one that has imported what they need."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.promotion.promoters"])
    return context


def result_of(processes, call, *arguments):
    with processes.Pool(1) as pool:
        return pool.apply(call, arguments)


@pytest.fixture
def folder(tmp_path, empty_database):
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return tmp_path


@pytest.fixture
def served(tmp_path, empty_database):
    """Return a folder that names a real server: its promoters have no file in common, as on different machines."""
    server = TrackingProcess(tmp_path / "server", empty_database)
    server.start()
    (tmp_path / "server.uri").write_text(server.uri)
    yield tmp_path
    server.kill()


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("place", ["folder", "served"])
def test_eight_promoters_at_once_leave_one_champion_and_a_whole_history(processes, place, request):
    folder = request.getfixturevalue(place)
    uris = result_of(processes, promoters.register_all, folder, 8)
    with processes.Pool(8) as pool:
        tries = pool.starmap(promoters.promote_until_done, [(folder, uri) for uri in uris], chunksize=1)
    aliases, events, tags = result_of(processes, promoters.state_of, folder, "r-kd")
    assert [codes[-1] for codes in tries] == ["done"] * 8
    assert all("PROMOTION_LOCK_LOST" not in codes for codes in tries)
    assert [event["number"] for event in events] == list(range(1, 9))
    assert sorted(event["version"] for event in events) == list(range(1, 9))
    assert [event["before"] for event in events] == [None, *(event["version"] for event in events[:-1])]
    assert all(event["done"] for event in events)
    assert aliases == {"champion": events[-1]["version"], "previous": events[-2]["version"]}
    for event in events:
        own = tags[f"models:/r-kd/{event['version']}"]
        assert own[f"medkd.promotion.{event['verdict']}"].startswith("passed ")
        assert f"medkd.promotion.{event['verdict']}.sign_off" in own


def test_a_killed_promoter_is_finished_by_the_next(processes, folder):
    """Killed between ``previous`` and ``champion``; the other steps are in ``test_promote.py``."""
    first, second = result_of(processes, promoters.register_all, folder, 2)
    result_of(processes, promoters.promote_until_done, folder, first)
    process = processes.Process(target=promoters.promote_and_die, args=(folder, second, 7))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert result_of(processes, promoters.promote_until_done, folder, second)[-1] == "done"
    aliases, events, _ = result_of(processes, promoters.state_of, folder, "r-kd")
    assert aliases == {"champion": 2, "previous": 1}
    assert [(event["version"], event["before"], event["done"]) for event in events] == [(1, None, True), (2, 1, True)]
