"""The application as a program of its own: without torch, killed, with many readers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from review_clients import PASSWORD, Browser, running, with_accounts, write_studies

from data_contracts import FeedbackError
from medkd.feedback.log import FeedbackLog
from medkd.review_server.accounts import Accounts
from medkd.review_server.app import create_app
from medkd.review_server.database import Database

ROOT = Path(__file__).parents[2]
#: A server that cannot import what it must not need.
ALONE = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "monai", "mlflow", "prefect", "sklearn"}:
            raise ImportError(f"{name} is not needed to serve")
sys.meta_path.insert(0, Refuse())
from pathlib import Path
from medkd.review_server.serve import serve
from medkd.review_server.settings import ServerSettings
serve(ServerSettings(Path(sys.argv[1]), Path(sys.argv[2]), port=0), lambda address: print(address, flush=True))
"""


def start(reports: Path, data: Path) -> tuple[subprocess.Popen, str]:
    process = subprocess.Popen([sys.executable, "-c", ALONE, reports, data], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    address = process.stdout.readline().strip()
    assert address, "the server did not start"
    return process, address.rstrip("/")


def test_a_killed_server_loses_nothing_that_it_acknowledged_and_needs_no_torch(reports, tmp_path):
    data = tmp_path / "data"
    Accounts(Database(data)).add("anna", PASSWORD)
    process, address = start(reports, data)
    kept = []
    try:
        anna = Browser(address, "anna")
        for key in ("series-000", "series-001", "series-002"):
            anna.read(key)
            kept.append(anna.sign(key, anna.filled()).json()["entry"])
            if key == "series-001":
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
                process.stdout.close()
                process, address = start(reports, data)
                anna = Browser(address, "anna")
    finally:
        process.terminate()
        process.stdout.close()
        assert process.wait(15) in (0, -signal.SIGTERM)
    found = [entry.digest() for entry in FeedbackLog(data / "feedback").entries()]
    assert len(found) == 6
    assert set(kept) <= set(found)


@pytest.mark.extended
def test_twenty_readers_at_once_are_all_answered(reports, make_settings):
    app = create_app(make_settings())
    names = [f"reader-{place}" for place in range(20)]
    for name in names:
        app.state.services.accounts.add(name, PASSWORD)
    problems: list[str] = []

    def work(address: str, name: str) -> None:
        try:
            browser = Browser(address, name)
            for key in ("series-000", "series-001"):
                browser.get("/")
                assert browser.read(key).status_code == 200
                for place in range(12):
                    assert browser.client.get(f"/study/{key}/slice/axial/{place}?levels=1").status_code == 200
                assert browser.sign(key, browser.filled()).status_code == 200
        except Exception as error:
            problems.append(f"{name}: {error!r}")

    with running(app) as address:
        threads = [threading.Thread(target=work, args=(address, name)) for name in names]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    assert problems == []
    assert app.state.services.log.verify().entries == 80


def test_a_hundred_studies_are_listed_within_300_ms(make_settings, tmp_path):
    from dataclasses import replace

    folder = write_studies(tmp_path / "many", 100, shape=(4, 16, 24))
    with running(with_accounts(create_app(replace(make_settings(), reports=folder)))) as address:
        anna = Browser(address, "anna")
        times = []
        for _ in range(5):
            started_at = time.perf_counter()
            page = anna.get("/")
            times.append(time.perf_counter() - started_at)
        assert "100 studies" in page.text
        assert len(re.findall("<tr class=", page.text)) == 50
        assert len(re.findall("<tr class=", anna.get("/?number=2").text)) == 50
    assert min(times) < 0.3, times


def test_a_log_that_was_altered_stops_the_server_from_starting(make_settings, address, anna):
    anna.read("series-000")
    lines = make_settings().feedback / "feedback.jsonl"
    lines.write_bytes(lines.read_bytes().replace(b"present", b"absent!"))
    with pytest.raises(FeedbackError, match="entry 0"):
        create_app(make_settings())


def test_pages_ask_nothing_of_the_network_and_static_files_are_those_of_the_package(address):
    page = httpx.get(address + "/login").text
    assert not re.findall(r'(?:src|href)="(?!/|data:)', page)
    for name in set(re.findall(r'"(/static/[^"]+)"', page)) | {"/static/vendor/htmx.min.js", "/static/form.js", "/static/served.js"}:
        assert httpx.get(address + name).status_code == 200, name
    for name in ("../app.py", "%2e%2e/app.py", "report.html", "vendor/htmx-LICENSE.txt/.."):
        assert httpx.get(f"{address}/static/{name}").status_code == 404, name
