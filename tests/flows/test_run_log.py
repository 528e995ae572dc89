from __future__ import annotations

import logging
import stat

import pytest

from flows import run_log
from flows.run_log import FILE, RunLog, clock, time_left


@pytest.fixture
def make_log(tmp_path):
    made = []

    def make(**options):
        made.append(RunLog(tmp_path, **{"enabled": True, **options}))
        return made[-1]

    yield make
    for one in made:
        one.close()


def logged(tmp_path):
    return (tmp_path / FILE).read_text()


@pytest.mark.parametrize(("seconds", "said"), [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3599, "59:59"), (3661, "1:01:01")])
def test_durations_are_said_as_clocks_do(seconds, said):
    assert clock(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "share", "said"), [(10, 0.5, "0:10"), (10, 0.01, ""), (10, 1.1, ""), (30, 0.25, "1:30"), (10, 1.0, "0:00")]
)
def test_the_time_left_follows_from_the_share_that_is_done(seconds, share, said):
    assert time_left(seconds, share) == said


def test_a_group_is_one_line_where_it_was_long_and_every_line_is_in_the_log(make_log, tmp_path, capsys, monkeypatch):
    log = make_log()
    with log.group("students", 2) as group:
        group.finished("kd-0", 0.5)
        group.finished("kd-1", 0.5)
    assert capsys.readouterr().out == ""
    assert "students 1/2  kd-0  0.5 s" in logged(tmp_path)
    assert "students: 2 done in" in logged(tmp_path)
    monkeypatch.setattr(run_log, "WORTH_A_LINE_S", 0.0)
    with log.group("register", 1):
        pass
    assert "register done in 0.0 s" in capsys.readouterr().out


def test_lines_for_people_go_to_standard_error_where_a_machine_reads_the_other(make_log, capsys):
    make_log(machine_output=True).say("said")
    said = capsys.readouterr()
    assert (said.out, said.err.rstrip().endswith("said")) == ("", True)


def test_minor_lines_are_for_those_who_want_everything(make_log, capsys):
    make_log().say("minor", minor=True)
    assert capsys.readouterr().out == ""
    make_log(verbose=True).say("minor", minor=True)
    assert capsys.readouterr().out.count("minor") == 1


def test_a_run_that_says_nothing_still_writes_its_log_for_its_owner_only(make_log, tmp_path, capsys):
    make_log(enabled=False).say("said")
    assert capsys.readouterr() == ("", "")
    assert "INFO said" in logged(tmp_path)
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_warnings_of_medkd_are_in_the_log_until_it_is_closed(make_log, tmp_path):
    log = make_log()
    logging.getLogger("medkd").warning("while it lasts")
    log.close()
    logging.getLogger("medkd").warning("afterwards")
    assert "WARNING while it lasts" in logged(tmp_path)
    assert "afterwards" not in logged(tmp_path)


def test_a_group_that_failed_is_not_said_to_be_done(make_log, tmp_path):
    log = make_log()
    with pytest.raises(KeyError), log.group("students", 2):
        raise KeyError
    assert "done" not in logged(tmp_path)
