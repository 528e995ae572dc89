from __future__ import annotations

import pytest

from medkd import progress
from medkd.progress import plural, progress_bar, report_progress_to


@pytest.fixture
def heard():
    """Return the shares that a listener is told while it listens."""
    shares = []
    report_progress_to(shares.append)
    yield shares
    report_progress_to(None)


def test_a_listener_is_told_the_share_of_a_sized_collection(heard, capsys):
    assert list(progress_bar(["a", "b", "c", "d"], title="t", unit="case", enabled=True)) == ["a", "b", "c", "d"]
    assert heard == [0.25, 0.5, 0.75, 1.0]
    assert capsys.readouterr().err == ""


def test_a_share_is_never_more_than_the_whole_and_unknown_without_a_total(heard):
    with progress_bar(title="t", unit="case", enabled=True, total=2) as bar:
        bar.update(5)
    with progress_bar(title="t", unit="case", enabled=True) as bar:
        bar.update()
    assert heard == [1.0]


def test_what_says_nothing_tells_nobody(heard):
    list(progress_bar(range(3), title="t", unit="case", enabled=False))
    assert heard == []


@pytest.mark.parametrize(("worth", "said"), [(0.0, "reading: 3 series in 0 s\n"), (60.0, "")])
def test_away_from_a_terminal_finished_work_is_one_line_where_it_was_long(monkeypatch, capsys, worth, said):
    monkeypatch.setattr(progress, "WORTH_A_LINE_S", worth)
    list(progress_bar(range(3), title="reading", unit="series", enabled=True))
    assert capsys.readouterr().err == said


def test_work_that_failed_is_not_said_to_be_done(monkeypatch, capsys):
    monkeypatch.setattr(progress, "WORTH_A_LINE_S", 0.0)
    with pytest.raises(KeyError), progress_bar(title="reading", unit="case", enabled=True):
        raise KeyError
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("unit", "count", "said"), [("case", 1, "case"), ("case", 2, "cases"), ("study", 0, "studies"), ("series", 5, "series")]
)
def test_units_are_counted_in_english(unit, count, said):
    assert plural(unit, count) == said
