"""The table of test times, from what pytest writes."""

from __future__ import annotations

import pytest

from tests.budget import table, times

WRITTEN = """<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest" tests="3">
<testcase classname="tests.flows.test_slow" name="test_it[a@b]@tests.flows.test_slow" time="0.5" />
<testcase classname="tests.flows.test_slow" name="test_it[long]@demo" time="2.25" />
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
