from __future__ import annotations

from review_clients import Browser

from medkd.review_server.administration import progress_of, score_of


def test_a_score_is_the_share_of_all_points():
    assert score_of([5] * 10) == "1.00"
    assert score_of([1] * 10) == "0.20"


def test_progress_counts_what_is_in_the_log(services, address, anna):
    anna.read("series-000")
    anna.sign("series-000", anna.filled(seconds_on_page=120.0, seconds_with_overlay=30.0))
    Browser(address, "ben").read("series-001")
    found = {one.name: one for one in progress_of(services.readings, services.accounts.all(), 1)}
    assert (found["anna"].own_reads, found["anna"].signed, found["anna"].minutes, found["anna"].overlay) == (1, 1, "2.0", "25 %")
    assert (found["ben"].own_reads, found["ben"].signed, found["ben"].minutes) == (1, 0, "–")
    assert {one.own_reads for one in progress_of(services.readings, services.accounts.all(), 2)} == {0}
