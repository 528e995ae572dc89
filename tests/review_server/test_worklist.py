from __future__ import annotations

from medkd.review_server.worklist import PER_PAGE, Filters, worklist_of


def rows(services, **filters):
    account = services.accounts.find("anna")
    return worklist_of(account, services.readings, services.index, Filters(**filters))


def test_filters_leave_what_fits(services):
    assert rows(services).count == rows(services).unread == 3
    assert [row.study.key for row in rows(services, text="001").rows] == ["series-001"]
    assert rows(services, status="signed").rows == ()
    assert rows(services, modality="MR").count == 0
    assert rows(services).modalities == ("CT",)
    assert rows(services, priority="1").count + rows(services, priority="2").count == 3
    assert PER_PAGE == 50


def test_a_page_that_is_none_is_the_nearest(services):
    assert (rows(services, page=99).page, rows(services, page=-1).page, rows(services).pages) == (1, 1, 1)


def test_what_was_begun_comes_first(services, anna):
    anna.read("series-002")
    assert [row.status for row in rows(services).rows] == ["own_read", "unread", "unread"]
