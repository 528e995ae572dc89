from __future__ import annotations

import pytest

from data_contracts import DataError
from medkd.review_server.accounts import Accounts
from medkd.review_server.database import NAME, Database
from medkd.review_server.sessions import IDLE_S, LONGEST_S, MOST_FAILURES, MOST_OF_ADDRESS, WINDOW_S, Sessions


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sessions(tmp_path, clock):
    database = Database(tmp_path)
    accounts = Accounts(database)
    accounts.add("anna", "correct horse")
    return Sessions(database, accounts, clock)


def code_of(call):
    with pytest.raises(DataError) as caught:
        call()
    return caught.value.code


def test_a_session_is_known_by_its_number_which_the_database_does_not_hold(sessions, tmp_path):
    number = sessions.log_in("anna", "correct horse", "192.0.2.1")
    assert sessions.find(number).account.name == "anna"
    assert sessions.find(number).csrf != number
    assert sessions.find(number[:-1]) is None
    assert sessions.find(None) is None
    assert not any(number.encode() in path.read_bytes() for path in tmp_path.glob(f"{NAME}*"))
    sessions.log_out(number)
    assert sessions.find(number) is None


@pytest.mark.parametrize("step", [IDLE_S + 1, LONGEST_S + 1])
def test_a_session_ends_when_nothing_is_asked_and_in_any_case_after_a_day_of_work(sessions, clock, step):
    number = sessions.log_in("anna", "correct horse", "192.0.2.1")
    started = clock.now
    if step < LONGEST_S:
        clock.now += IDLE_S - 1
        assert sessions.find(number) is not None, "what is asked keeps it"
        clock.now += step
    else:
        while clock.now < started + step:
            sessions.find(number)
            clock.now += IDLE_S / 2
    assert sessions.find(number) is None


def test_a_removed_account_has_no_session(sessions, tmp_path):
    number = sessions.log_in("anna", "correct horse", "192.0.2.1")
    Accounts(Database(tmp_path)).remove("anna")
    assert sessions.find(number) is None


def test_failed_logins_lock_a_name_out_for_a_time_that_is_told(sessions, clock):
    for _ in range(MOST_FAILURES):
        assert code_of(lambda: sessions.log_in("anna", "wrong horse", "192.0.2.1")) == "LOGIN_FAILED"
    with pytest.raises(DataError, match=f"{round(WINDOW_S) + 1} seconds") as caught:
        sessions.log_in("anna", "correct horse", "192.0.2.2")
    assert caught.value.code == "LOGIN_LOCKED"
    clock.now += WINDOW_S + 1
    assert sessions.find(sessions.log_in("anna", "correct horse", "192.0.2.1"))


def test_an_address_that_tries_many_names_is_locked_out_and_others_are_not(sessions):
    for place in range(MOST_OF_ADDRESS):
        assert code_of(lambda place=place: sessions.log_in(f"name-{place}", "x", "192.0.2.1")) == "LOGIN_FAILED"
    assert code_of(lambda: sessions.log_in("anna", "correct horse", "192.0.2.1")) == "LOGIN_LOCKED"
    assert sessions.find(sessions.log_in("anna", "correct horse", "192.0.2.2"))


def test_a_login_that_succeeds_forgets_the_failures_of_its_name(sessions):
    for _ in range(MOST_FAILURES - 1):
        code_of(lambda: sessions.log_in("anna", "wrong horse", "192.0.2.1"))
    sessions.log_in("anna", "correct horse", "192.0.2.1")
    for _ in range(MOST_FAILURES - 1):
        assert code_of(lambda: sessions.log_in("anna", "wrong horse", "192.0.2.1")) == "LOGIN_FAILED"


def test_unknown_names_and_wrong_passwords_are_told_alike(sessions):
    sentences = []
    for name in ("anna", "eve1"):
        with pytest.raises(DataError) as caught:
            sessions.log_in(name, "wrong horse", "192.0.2.1")
        sentences.append(caught.value.message)
    assert sentences[0] == sentences[1]


def test_who_comes_by_a_proxy_is_known_by_name_alone(sessions):
    assert sessions.by_proxy("anna").account.name == "anna"
    assert sessions.by_proxy("eve") is None
    assert sessions.by_proxy("anna").csrf == sessions.by_proxy("anna").csrf
