from __future__ import annotations

import pytest

from data_contracts import DataError
from medkd.review_server.accounts import HASHER, LEAST_PASSWORD, Accounts
from medkd.review_server.database import Database


@pytest.fixture
def accounts(tmp_path):
    return Accounts(Database(tmp_path / "data"))


def test_a_password_is_kept_as_an_argon2id_hash_and_nothing_else(accounts, tmp_path):
    added = accounts.add("anna", "correct horse", title="neuroradiologist")
    assert accounts.verify("anna", "correct horse") == added == accounts.find("anna")
    assert accounts.verify("anna", "correct hors") is None
    assert accounts.verify("nobody", "correct horse") is None
    held = b"".join(path.read_bytes() for path in (tmp_path / "data").iterdir())
    assert b"correct horse" not in held
    assert b"$argon2id$" in held
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "data").iterdir()} == {0}


def test_records_know_a_reader_by_a_pseudonym_that_says_nothing_of_the_name(accounts):
    added = accounts.add("anna", "correct horse")
    assert added.reviewer_key.startswith("reviewer-")
    assert "anna" not in added.reviewer_key
    accounts.remove("anna")
    assert accounts.add("anna", "correct horse").reviewer_key != added.reviewer_key, "another person may have the name later"


def test_an_account_without_a_password_cannot_log_in(accounts):
    accounts.add("anna", None)
    assert accounts.verify("anna", "") is None
    assert accounts.find("anna") is not None


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("", "correct horse"), "ACCOUNT_NAME"),
        (("an na", "correct horse"), "ACCOUNT_NAME"),
        (("../x", "correct horse"), "ACCOUNT_NAME"),
        (("anna", "x" * (LEAST_PASSWORD - 1)), "ACCOUNT_PASSWORD"),
        (("anna-anna-anna", "Anna-anna-anna"), "ACCOUNT_PASSWORD"),
        (("anna", "x" * 257), "ACCOUNT_PASSWORD"),
    ],
)
def test_what_makes_no_account(accounts, arguments, code):
    with pytest.raises(DataError) as caught:
        accounts.add(*arguments)
    assert caught.value.code == code
    assert arguments[1] not in caught.value.message


def test_a_password_costs_what_the_library_advises():
    assert (HASHER.time_cost, HASHER.memory_cost) == (3, 65536)


def test_names_and_roles_are_checked(accounts):
    accounts.add("anna", "correct horse", role="administrator")
    for call, code in (
        (lambda: accounts.add("anna", "correct horse"), "ACCOUNT_EXISTS"),
        (lambda: accounts.add("ben", "correct horse", role="owner"), "ACCOUNT_ROLE"),
        (lambda: accounts.add("ben", "correct horse", title=""), "ACCOUNT_TITLE"),
        (lambda: accounts.remove("ben"), "ACCOUNT_UNKNOWN"),
    ):
        with pytest.raises(DataError) as caught:
            call()
        assert caught.value.code == code
    assert [one.name for one in accounts.all()] == ["anna"]
