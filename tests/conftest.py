"""Which tests run where, what is counted, and the fixtures that all tests share (``shared_fixtures.py``)."""

from __future__ import annotations

import gc
import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.budget import extended_names, is_extended


def hands_out(arguments, environ):
    """Return whether this process hands tests out to others (``pytest -n 2``) and does nothing else: it needs nothing that tests do.

    Where lines are counted it reaches those that an import reaches: the others begin to count when they have imported everything.
    """
    if "PYTEST_XDIST_WORKER" in environ or any(one.startswith("--cov") for one in arguments):
        return False
    asked = [one[2:] or following for one, following in zip(arguments, [*arguments[1:], ""], strict=True) if one.startswith("-n")]
    return bool(asked) and asked[-1] != "0"


if not hands_out(sys.argv[1:], os.environ):
    from tests.shared_fixtures import (  # noqa: F401
        browser,
        chromium_path,
        cohorts,
        make_network,
        make_sample,
        phantom,
        real_data,
        recipe,
        space,
        task,
        workspace,
    )

TESTS = Path(__file__).parent
#: Folders of tests that reach the lines of the packages whose coverage is asked for (Makefile). Counting costs half as much again of what is counted, and
#: a worker's start costs half a minute, so that all tests go in one run and counting rests in the others.
COUNTED = tuple(TESTS / name for name in ("contracts", "attribution", "distillation", "measures", "knowledge"))
#: Tests that are extended for their time alone, by name (`python -m tests.budget` says which those are): each has faster neighbours, which stay.
#: ``NAME one in K`` keeps every K-th case of a test that asks the same of many: which ones differs by test, so that each entry of a catalogue is asked something.
EXTENDED, ONE_IN = extended_names((Path(__file__).parent / "extended.txt").read_text(encoding="utf-8").splitlines())
#: Tests of a file that go to a worker together where nothing else groups them.
AT_ONCE = 12


@pytest.hookimpl(tryfirst=True)  # before the marks are read, and before xdist reads the groups
def pytest_collection_modifyitems(items):
    """Mark what is extended, and say which tests go to a worker together, the longest groups first: what is begun late, the other core would wait for."""
    seen, handed = Counter(), Counter()
    order = {}
    for item in items:
        if is_extended(item.nodeid, seen, EXTENDED, ONE_IN):
            item.add_marker(pytest.mark.extended)
        marked = item.get_closest_marker("xdist_group")
        shared = _shared_fixtures(item)
        if marked is not None:
            # The demo's group takes a quarter of everything.
            order[item] = 0 if marked.args == ("demo",) else 1
            continue
        if shared is None:
            # One by one, handing out eight thousand tests takes a quarter of a minute: xdist goes through all that were handed out for each.
            shared = f"{item.path.relative_to(TESTS).as_posix()}-{handed[item.path] // AT_ONCE}"
            handed[item.path] += 1
            order[item] = 2
        else:
            order[item] = 1
        item.add_marker(pytest.mark.xdist_group(shared))
    items.sort(key=order.__getitem__)


def _shared_fixtures(item):
    """Return the folder or module whose fixtures, made once, a test uses: two workers would make everything twice; None where there are none."""
    fixtures = [one for defined in item._fixtureinfo.name2fixturedefs.values() for one in defined] if hasattr(item, "_fixtureinfo") else []
    of_folders = sorted(one.baseid for one in fixtures if one.scope == "session" and one.baseid not in ("", "tests"))
    if of_folders:
        return of_folders[0]
    return item.module.__name__ if {one.scope for one in fixtures} & {"module", "package"} else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session):
    """Stop counting lines once everything that is counted is imported: modules of tests are not."""
    count_lines(session.config, wanted=False)


def pytest_collection_finish():
    """Look no more at what imports and collection made, and less often for cycles: it took an eighth of the time of the tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item):
    """Count the lines that a test of ``COUNTED`` reaches, fixtures included, and no others."""
    count_lines(item.config, wanted=any(folder in item.path.parents for folder in COUNTED))


def count_lines(config, *, wanted):
    """Let pytest-cov go on or rest, where it is asked for."""
    plugin = config.pluginmanager.getplugin("_cov")
    controller = None if plugin is None else plugin.cov_controller
    # The process that hands tests out counts nothing: it has no collector of its own that could rest.
    if controller is None or (config.getoption("numprocesses", None) and not hasattr(config, "workerinput")):
        return
    if wanted and not controller.started:
        controller.resume()
    elif controller.started and not wanted:
        controller.pause()
