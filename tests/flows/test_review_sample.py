from __future__ import annotations

from datetime import UTC, datetime, timedelta

from data_contracts import Worklist, WorklistEntry
from flows.review_sample import draw_sample, write_sample
from flows.site import Site

MONDAY = datetime(2026, 11, 23, 7, tzinfo=UTC)


def entry(number, age_days=1.0, outcome="reported"):
    return WorklistEntry(
        series_key=f"s{number}", model="models:/m/1", outcome=outcome, page=f"{number}", at=MONDAY - timedelta(days=age_days)
    )


def keys(found):
    return [one.series_key for one in found]


def test_a_week_has_one_sample_whoever_asks_and_however_the_list_is_ordered():
    entries = tuple(entry(number) for number in range(40))
    drawn = keys(draw_sample(Worklist(entries=entries), MONDAY, 5))
    assert len(set(drawn)) == 5
    assert keys(draw_sample(Worklist(entries=entries[::-1]), MONDAY, 5)) == drawn
    assert keys(draw_sample(Worklist(entries=tuple(entry(n, 8.0) for n in range(40))), MONDAY, 5)) == []
    later = MONDAY + timedelta(days=2)
    assert keys(draw_sample(Worklist(entries=entries), later, 5)) == drawn  # the same week


def test_only_what_was_reported_in_the_last_seven_days_is_drawn():
    listed = Worklist(entries=(entry(1), entry(2, 7.5), entry(3, outcome="refused"), entry(4, -1.0)))
    assert keys(draw_sample(listed, MONDAY, 5)) == ["s1"]


def test_without_reports_there_is_no_page(tmp_path):
    site = Site.claimed(tmp_path / "site")
    assert write_sample(site, MONDAY, 5) is None
    assert not (site.root / "review").exists()
