"""What goes out of the log: everything but comments, and no cell that a spreadsheet computes."""

from __future__ import annotations

import csv
import io
import json

import pytest

from data_contracts import ControlCase
from medkd.feedback.export_log import COLUMNS, as_csv, as_lines
from medkd.feedback.keep import Reviewer, keep_form


@pytest.fixture
def entries(log, report, make_form, reader):
    """Return a log of two readers, of whom one corrected and the other was shown something wrong."""
    first = keep_form(log, report, make_form(1, comment="=1+1 on the rib"), reader, offline=True)
    keep_form(log, report, make_form(2, decision="reject", supersedes=first.digest()), reader)
    log.append(ControlCase(report=report.digest(), genuine="a" * 64, study_key=report.volume.study_key, kind="mirrored", reviewer_key="r2"))
    keep_form(log, report, make_form(3), Reviewer("r2", "resident"), offline=True)
    return log.entries()


def test_lines_hold_each_entry_with_its_digest_and_no_comment(entries):
    lines = [json.loads(line) for line in as_lines(entries)]
    assert [line["digest"] for line in lines] == [entry.digest() for entry in entries]
    assert "rib" not in json.dumps(lines)
    assert lines[1]["record"]["decision"] == "accept"
    (said,) = [line["record"]["comment"] for line in map(json.loads, as_lines(entries, comments=True)) if line["record"].get("comment")]
    assert said == "=1+1 on the rib"


def test_a_table_has_a_row_for_each_finding(entries):
    rows = list(csv.DictReader(io.StringIO(as_csv(entries))))
    assert tuple(rows[0]) == COLUMNS
    assert [(row["reviewer_key"], row["finding"], row["prediction"]) for row in rows[:3]] == [
        ("r0001", "lesion-1", "agree"),
        ("r0001", "answer-1", "unsure"),
        ("r0001", "teacher-1", "disagree"),
    ]
    assert len(rows) == 9
    assert {row["own_read"] for row in rows} == {"present"}
    assert [row["superseded"] for row in rows[::3]] == ["True", "False", "False"]
    assert [row["control"] for row in rows[::3]] == ["False", "False", "True"]


def test_a_comment_is_no_formula(entries):
    rows = list(csv.DictReader(io.StringIO(as_csv(entries, comments=True))))
    assert rows[0]["comment"] == "'=1+1 on the rib"
    assert "comment" not in as_csv(entries)
    assert "rib" not in as_csv(entries)
