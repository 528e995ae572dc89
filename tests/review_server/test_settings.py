from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import MedkdError


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"host": "0.0.0.0"}, "BIND_PUBLIC"),
        ({"host": "192.0.2.1"}, "BIND_PUBLIC"),
        ({"proxy": "proxy.example"}, "PROXY_ADDRESS"),
        ({"user_header": "X-Remote-User"}, "USER_HEADER"),
        ({"user_header": "X Remote", "proxy": "127.0.0.1"}, "USER_HEADER"),
        ({"control_share": 0.6}, "CONTROL_SHARE"),
    ],
)
def test_what_would_not_be_served_well_is_refused(make_settings, changes, code):
    with pytest.raises(MedkdError, match=r"expected .*, got ") as caught:
        make_settings(**changes).require_usable()
    assert caught.value.code == code


@pytest.mark.parametrize("changes", [{}, {"host": "::1"}, {"host": "0.0.0.0", "proxy": "192.0.2.9"}, {"host": "0.0.0.0", "tls": Path("x")}])
def test_what_may_be_served(make_settings, changes):
    settings = make_settings(**changes)
    settings.require_usable()
    assert settings.secure is bool(changes.get("proxy") or changes.get("tls"))


def test_reports_are_there_and_apart_from_what_the_server_keeps(make_settings, tmp_path):
    from dataclasses import replace

    with pytest.raises(MedkdError) as caught:
        replace(make_settings(), reports=tmp_path / "nowhere").require_usable()
    assert caught.value.code == "REPORTS_MISSING"
    with pytest.raises(MedkdError):
        replace(make_settings(), reports=tmp_path, data=tmp_path / "data").require_usable()
