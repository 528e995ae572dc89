from __future__ import annotations

import threading

import pytest

from data_contracts import StoreError
from medkd.review_server.database import NAME, Database


def test_a_secret_stays_the_same_and_is_not_guessed(tmp_path):
    one = Database(tmp_path).secret("csrf")
    assert Database(tmp_path).secret("csrf") == one
    assert len(one) == 32
    assert Database(tmp_path).secret("controls") != one


def test_rounds_are_counted_and_kept(tmp_path):
    database = Database(tmp_path)
    assert database.round == 1
    assert [database.begin_round(), database.begin_round()] == [2, 3]
    assert Database(tmp_path).round == 3


def test_a_failed_transaction_leaves_nothing(tmp_path):
    database = Database(tmp_path)

    def write_and_fail():
        with database.connect() as connection:
            connection.execute("INSERT INTO setting VALUES ('a', 'b')")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()
    assert database.setting("a") == ""


def test_many_threads_write_at_once(tmp_path):
    database = Database(tmp_path)
    threads = [threading.Thread(target=database.set, args=(f"name-{place}", str(place))) for place in range(20)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert [database.setting(f"name-{place}") for place in range(20)] == [str(place) for place in range(20)]


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / NAME).write_bytes(b"no database at all, but long enough to be looked at" * 10)
    with pytest.raises(StoreError, match=NAME) as caught:
        Database(tmp_path)
    assert caught.value.code == "REVIEW_DATABASE"
