from __future__ import annotations

import httpx
import pytest
from review_clients import Browser, running, with_accounts

from medkd.review_server.app import create_app
from medkd.review_server.security import HEADERS
from medkd.review_server.settings import MOST_BODY


@pytest.mark.parametrize(
    "path", ["/login", "/", "/static/report.css", "/static/nowhere", "/nowhere", "/study/x", "/health", "/study/series-000/slice/axial/x"]
)
def test_every_answer_has_the_headers(address, path):
    answer = httpx.get(address + path)
    for name, value in HEADERS.items():
        assert answer.headers.get_list(name) == [value], name
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert "server" not in answer.headers


def test_a_large_body_is_refused_before_it_is_read(anna):
    answer = anna.client.post("/study/series-000/feedback", content=b"x" * (MOST_BODY + 1))
    assert answer.status_code == 413
    assert "nothing was saved" in answer.text

    def pieces():
        for _ in range(MOST_BODY // 2**20 + 2):
            yield b"x" * 2**20

    assert anna.client.post("/study/series-000/feedback", content=pieces()).status_code == 413, "whose length is not stated"


def test_a_page_under_another_name_is_not_answered(address):
    assert httpx.get(address + "/login", headers={"Host": "attacker.example"}).status_code == 421
    assert httpx.get(address + "/login", headers={"Host": "localhost:1"}).status_code == 200


def test_behind_a_proxy_nobody_else_may_connect(make_settings):
    with running(create_app(make_settings(proxy="192.0.2.9"))) as address:
        assert httpx.get(address + "/login").status_code == 403


def test_a_proxy_names_who_is_logged_in_and_cookies_are_for_tls_alone(make_settings):
    app = with_accounts(create_app(make_settings(proxy="127.0.0.1", user_header="X-Remote-User")))
    with running(app) as address:
        browser = Browser(address)
        browser.client.headers["X-Remote-User"] = "anna"
        assert "anna" in browser.get("/").text
        assert 'action="/logout"' not in browser.page.text
        assert browser.read("series-000").status_code == 200
        assert browser.sign("series-000", browser.filled()).status_code == 200
        assert browser.get("/admin").status_code == 403
        browser.client.headers["X-Remote-User"] = "eve"
        assert browser.get("/").status_code == 401
        del browser.client.headers["X-Remote-User"]
        assert browser.get("/").status_code == 401
    with running(create_app(make_settings(proxy="127.0.0.1"))) as address:
        answer = httpx.get(address + "/login")
        assert "Secure" in answer.headers["set-cookie"]
        assert answer.headers["strict-transport-security"]
