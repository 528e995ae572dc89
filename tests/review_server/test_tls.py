"""Readers on other machines: through nginx as `docs/review.md` sets it up, and by TLS of our own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from review_clients import CLIENTS, PASSWORD, Browser, running, with_accounts

from medkd.review_server.app import create_app
from tests.certificates import signed, write

DOCS = Path(__file__).parents[2] / "docs" / "review.md"
#: Where nginx connects from, so that another address is another machine's.
PROXY = "127.0.0.9"
KEY = "series-000"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    authority, key = signed("authority", authority=True)
    return write(tmp_path_factory.mktemp("tls") / "own", *signed("server", authority, key), authority)


@pytest.fixture
def nginx(certificates, tmp_path):
    """Return what starts nginx before a server, with the block of the documentation; it gives the address that browsers use."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        pytest.skip("nginx is missing: run `make system` as root")
    started = []

    def start(upstream: str, more: str = "") -> str:
        block = re.search(r"```\n(server \{\n.*?\n\})\n```", DOCS.read_text(encoding="utf-8"), re.DOTALL)[1]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        for written, here in (
            ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
            ("server_name review.example.org;", "server_name localhost;"),
            ("/etc/ssl/review.crt", str(certificates / "tls.crt")),
            ("/etc/ssl/review.key", str(certificates / "tls.key")),
            ("http://127.0.0.1:8320;", f"{upstream}; proxy_bind {PROXY}; {more}"),
        ):
            assert written in block
            block = block.replace(written, here)
        if more:
            block = block.replace("# proxy_set_header X-Remote-User", "proxy_set_header X-Remote-User")
        temporary = " ".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (tmp_path / "nginx.conf").write_text(
            # Its processes could not read what only root may: the folder of a test.
            f"{'user root; ' if os.getuid() == 0 else ''}daemon off; pid {tmp_path}/pid; error_log stderr; events {{}}\nhttp {{ access_log off; {temporary}\n{block}\n}}\n"
        )
        log = (tmp_path / "nginx.log").open("wb")
        started.append((subprocess.Popen([program, "-p", tmp_path, "-c", tmp_path / "nginx.conf"], stderr=log), log))
        wait_for_port(port, started[0][0])
        return f"https://localhost:{port}"

    yield start
    for process, log in started:
        process.terminate()
        process.wait(10)
        log.close()


def wait_for_port(port, process):
    for _ in range(200):
        assert process.poll() is None
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("it never listened")


@pytest.fixture
def reader(certificates):
    """Return a maker of browsers that know our authority and no other; each on a machine of some address."""

    def make(address: str, machine: str = "127.0.0.1", **headers: str) -> Browser:
        browser, known = Browser(address), ssl.create_default_context(cafile=certificates / "ca.crt")
        browser.client = httpx.Client(
            base_url=address,
            follow_redirects=True,
            timeout=30,
            headers=headers,
            transport=httpx.HTTPTransport(verify=known, local_address=machine),
        )
        CLIENTS.append(browser.client)
        return browser

    return make


def log_in(browser, name):
    browser.get("/login")
    return browser.post("/login", name=name, password=PASSWORD, next="/")


def test_a_study_is_read_and_signed_through_nginx(make_settings, nginx, reader):
    app = with_accounts(create_app(make_settings(proxy=PROXY)))
    with running(app) as upstream:
        anna = reader(nginx(upstream))
        page = log_in(anna, "anna")
        assert (page.status_code, page.url.scheme) == (200, "https")
        for one in page.history:
            for cookie in one.headers.get_list("set-cookie"):
                assert {"Secure", "HttpOnly", "SameSite=strict"} <= set(cookie.split("; "))
        assert anna.read(KEY).status_code == 200
        assert anna.sign(KEY, anna.filled()).status_code == 200
        assert len(app.state.services.log.entries()) == 2  # the own read, and the judgement
        # Another machine on the same network does not come past the proxy, whatever it says of itself.
        direct = httpx.get(upstream, headers={"X-Forwarded-For": PROXY})
        assert (direct.status_code, direct.text.startswith("expected the proxy")) == (403, True)


def test_who_sends_a_forged_address_is_locked_out_by_the_one_that_nginx_saw(make_settings, nginx, reader):
    app = with_accounts(create_app(make_settings(proxy=PROXY)))
    with running(app) as upstream:
        address, said = nginx(upstream), []
        for place in range(31):
            guess = reader(address, **{"X-Forwarded-For": f"10.0.0.{place}"})
            guess.get("/login")
            said.append(guess.post("/login", name=f"nobody{place}", password="wrong horse", next="/").status_code)
        assert said[0] != said[-1]
        assert said[-1] == 429
        assert log_in(reader(address, **{"X-Forwarded-For": "10.1.1.1"}), "anna").status_code == 429
        # Others come by the same nginx.
        assert log_in(reader(address, "127.0.0.3"), "anna").status_code == 200


def test_nginx_says_who_it_is_and_browsers_cannot(make_settings, nginx, reader, tmp_path):
    app = with_accounts(create_app(make_settings(proxy=PROXY, user_header="X-Remote-User")))
    app.state.services.accounts.add("dora", None, role="reader")
    (tmp_path / "known").write_text(f"dora:{{PLAIN}}{PASSWORD}\n")
    with running(app) as upstream:
        address = nginx(upstream, more=f'auth_basic "review"; auth_basic_user_file {tmp_path}/known;')
        assert reader(address, **{"X-Remote-User": "chief"}).get("/").status_code == 401
        dora = reader(address, **{"X-Remote-User": "chief"})
        dora.client.auth = ("dora", PASSWORD)
        assert dora.get("/").status_code == 200
        assert "dora" in dora.page.text
        assert "chief" not in dora.page.text
        assert dora.read(KEY).status_code == 200
        assert dora.sign(KEY, dora.filled()).status_code == 200


def test_it_serves_tls_of_its_own(make_settings, certificates, reader):
    settings = make_settings()
    with_accounts(create_app(settings))
    command = [sys.executable, "-m", "flows.cli", "review", "serve", settings.reports, "--data", settings.data, "--host", "0.0.0.0", "--port", "0"]  # fmt: skip
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen([*command, "--tls", certificates], stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            port = re.search(r"https://\S+:(\d+)/", next(line for line in process.stdout if "https://" in line))[1]
            anna = reader(f"https://localhost:{port}")
            assert log_in(anna, "anna").status_code == 200
            assert anna.get(f"/study/{KEY}").status_code == 200
            with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
                httpx.get(f"https://localhost:{port}/")
            with pytest.raises(httpx.RemoteProtocolError):
                httpx.get(f"http://localhost:{port}/")
            assert anna.get(f"/study/{KEY}").status_code == 200
        finally:
            process.send_signal(signal.SIGTERM)
        # The reader's connection is still open: nothing is waited for but answers.
        assert process.wait(5) == -signal.SIGTERM
