"""The table of test times, from what pytest writes."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.budget import extended_names, is_extended, table, times
from tests.conftest import hands_out

WRITTEN = """<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest" tests="3">
<testcase classname="tests.flows.test_slow" name="test_it[a@b]@tests.flows.test_slow" time="0.5" />
<testcase classname="tests.flows.test_slow" name="test_it[long]@flows/test_slow.py-3" time="2.25" />
<testcase classname="tests.test_alone" name="test_more" time="1.0"><failure>why</failure></testcase>
</testsuite></testsuites>"""


def test_times_are_read_by_the_name_that_the_command_line_takes(tmp_path):
    (tmp_path / "found.xml").write_text(WRITTEN)
    found = times(tmp_path / "found.xml")
    assert found == {
        "tests/flows/test_slow.py::test_it[a@b]": 0.5,
        "tests/flows/test_slow.py::test_it[long]": 2.25,
        "tests/test_alone.py::test_more": 1.0,
    }
    lines = table(found, longest=1).splitlines()
    assert lines[0].split() == ["3.8", "s", "in", "3", "tests"]
    assert [float(line.split()[0]) for line in lines[2:4]] == pytest.approx([2.8, 1.0])
    assert lines[-1].endswith("test_it[long]")
    assert "test_more" not in lines[-1]


def test_of_a_test_that_asks_many_one_in_k_stays_and_each_entry_is_asked_something():
    laws = [f"tests/laws.py::test_law_{number}" for number in range(12)]
    extended, one_in = extended_names([*(f"{law} one in 3" for law in laws), "tests/laws.py::test_slow[b]"])
    assert (extended, set(one_in.values())) == ({"tests/laws.py::test_slow[b]"}, {3})
    seen = Counter()
    kept = {
        law: [entry for entry in range(9) if not is_extended(f"{law}[entry{entry}]", seen, extended, one_in)]
        for law in [*laws, "tests/laws.py::test_other"]
    }
    assert [len(kept[law]) for law in laws] == [3] * 12
    assert {entry for law in laws for entry in kept[law]} == set(range(9))
    assert kept["tests/laws.py::test_other"] == list(range(9))
    assert [is_extended(f"tests/laws.py::test_slow[{case}]", seen, extended, one_in) for case in "abc"] == [False, True, False]


@pytest.mark.parametrize(
    ("arguments", "environ", "expected"),
    [
        (["-n", "2", "--dist", "loadgroup"], {}, True),
        (["-q", "-n2"], {}, True),
        (["-n", "2", "-n", "0"], {}, False),
        (["-n0"], {}, False),
        (["-n", "2", "--cov=medkd/measures"], {}, False),
        (["tests", "-q"], {}, False),
        (["-n", "2"], {"PYTEST_XDIST_WORKER": "gw0"}, False),
    ],
)
def test_a_process_that_hands_tests_out_is_known(arguments, environ, expected):
    assert hands_out(arguments, environ) is expected
