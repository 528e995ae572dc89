"""Lines and widths of a status (read from a real server: test_deployments.py)."""

from __future__ import annotations

from flows.status import RunLine, Status, status_text


def line(state="Completed", said="nothing new", **changes):
    given = {"name": "ingest-watch", "state": state, "said": said, "start": "2026-11-27T02:00:00+00:00", "seconds": 61.2} | changes
    return RunLine(**given)


def test_states_are_counted_and_runs_listed_within_a_terminal():
    found = Status(
        (line(), line("Failed", "SourceError STUDIES_UNNAMED (its sentence is in quarantine/error.txt of the run)", name="x" * 80)),
        {"Completed": 1, "Failed": 1},
    )
    text = status_text(found)
    assert text.startswith("1 completed, 1 failed")
    assert "2026-11-27 02:00" in text
    assert "1:01" in text
    assert max(map(len, text.splitlines())) <= 100


def test_a_long_list_is_cut_and_says_so():
    text = status_text(Status((line(),) * 40, {"Completed": 40}))
    assert text.count("nothing new") == 30
    assert "and 10 more; --json has all" in text


def test_of_what_is_due_the_next_of_each_is_listed():
    due = [line("Scheduled", "Flow run scheduled", start=f"2026-11-2{day}T02:00:00+00:00") for day in (9, 8)]
    text = status_text(Status((*due, line()), {"Completed": 1, "Scheduled": 2}))
    assert text.count("Scheduled") == 1
    assert "2026-11-28 02:00" in text
    assert "Flow run scheduled" not in text


def test_nothing_is_said_to_be_nothing():
    assert status_text(Status((), {})) == "nothing ran"
    assert Status((line(),), {"Completed": 1}).as_json()["runs"][0]["name"] == "ingest-watch"
