from __future__ import annotations

import pytest
from argon2 import PasswordHasher
from review_clients import CLIENTS, Browser, running, with_accounts, write_studies

from medkd.review_server import accounts
from medkd.review_server.app import create_app
from medkd.review_server.settings import ServerSettings


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    return write_studies(tmp_path_factory.mktemp("served") / "reports", 3, lesions=2)


@pytest.fixture
def make_settings(reports, tmp_path):
    return lambda **changes: ServerSettings(reports, tmp_path / "data", **changes)


@pytest.fixture
def app(make_settings):
    return with_accounts(create_app(make_settings()))


@pytest.fixture
def address(app):
    with running(app) as address:
        yield address


@pytest.fixture
def anna(address):
    return Browser(address, "anna")


@pytest.fixture
def services(app):
    return app.state.services


@pytest.fixture(autouse=True)
def close_clients():
    yield
    while CLIENTS:
        CLIENTS.pop().close()


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch):
    """Let passwords cost little: what they cost otherwise is what :mod:`tests.review_server.test_accounts` looks at."""
    monkeypatch.setattr(accounts, "HASHER", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
