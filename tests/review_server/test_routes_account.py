from __future__ import annotations

import pytest
from review_clients import PASSWORD, Browser


def test_login_leads_where_one_wanted_to_go_and_logout_ends_the_session(address):
    browser = Browser(address)
    assert browser.get("/study/series-000").url.path == "/login"
    browser.post("/login", name="anna", password=PASSWORD, next="/study/series-000")
    assert browser.page.url.path == "/study/series-000"
    cookie = next(one for one in browser.client.cookies.jar if one.name == "medkd_session")
    browser.get("/")
    browser.post("/logout")
    assert browser.get("/").url.path == "/login"
    browser.client.cookies.set("medkd_session", cookie.value)
    assert browser.get("/").url.path == "/login", "the server forgot it, not only the browser"


def test_cookies_are_out_of_reach_of_scripts_and_of_other_sites(address):
    browser = Browser(address)
    browser.get("/login")
    answer = browser.client.post(
        "/login", data={"csrf": browser.token, "name": "anna", "password": PASSWORD, "next": "/"}, follow_redirects=False
    )
    said = answer.headers["set-cookie"]
    assert "HttpOnly" in said
    assert "SameSite=strict" in said
    assert "Secure" not in said, "on this machine alone there is no TLS"


def test_a_wrong_password_says_so_and_too_many_lock_out(address):
    browser = Browser(address)
    browser.get("/login")
    token = browser.token
    for _ in range(5):
        page = browser.client.post("/login", data={"csrf": token, "name": "anna", "password": "x", "next": "/"})
        assert page.status_code == 401
        assert "do not belong to an account" in page.text
    page = browser.client.post("/login", data={"csrf": token, "name": "anna", "password": PASSWORD, "next": "/"})
    assert page.status_code == 429
    assert 800 < int(page.headers["retry-after"]) <= 901
    assert f"Try again in {page.headers['retry-after']} seconds" in page.text


def test_login_needs_the_token_of_the_page(address):
    browser = Browser(address)
    browser.get("/login")
    for token in ("", "x"):
        assert browser.client.post("/login", data={"csrf": token, "name": "anna", "password": PASSWORD}).status_code == 403
    other = Browser(address)
    other.get("/login")
    assert browser.client.post("/login", data={"csrf": other.token, "name": "anna", "password": PASSWORD}).status_code == 403


@pytest.mark.parametrize("place", ["https://attacker.example/", "//attacker.example", "/\\attacker.example", "javascript:alert(1)", ""])
def test_nobody_is_led_to_another_site(address, place):
    browser = Browser(address)
    browser.get("/login")
    answer = browser.client.post(
        "/login", data={"csrf": browser.token, "name": "anna", "password": PASSWORD, "next": place}, follow_redirects=False
    )
    assert answer.headers["location"] == "/"
    assert browser.client.get("/language/zh", params={"next": place}, follow_redirects=False).headers["location"] == "/"


def test_a_language_is_kept(address):
    browser = Browser(address)
    assert 'lang="en"' in browser.get("/login").text
    assert "登录" in browser.get("/language/zh?next=/login").text
    assert "登录" in browser.get("/login").text
    assert "登录" not in browser.get("/language/xx?next=/language/en?next=/login").text
    fresh = Browser(address)
    assert "登录" in fresh.get("/login", headers={"Accept-Language": "zh-CN,zh;q=0.9"}).text
