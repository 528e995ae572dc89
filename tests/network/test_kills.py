"""The receiver is killed at random moments while objects come: nothing that was acknowledged is lost, and nothing is there twice."""

from __future__ import annotations

import contextlib
import json
import random
import re
import signal
import subprocess
import sys
import threading
import time

import pytest
from pydicom import dcmread

from data_contracts import NetworkError
from medkd.network.addresses import DimsePeer
from medkd.network.retry import Retries
from medkd.network.send import SendRequest, send
from tests.network.peers import ENVIRONMENT, free_port, program, write_study

OBJECTS, ROUNDS = 120, 8


def started(inbox, port):
    command = [sys.executable, "-m", "flows.cli", "receive", "--out", str(inbox), "--port", f"127.0.0.1:{port}", "--json"]
    command += ["--set", "quiet_s=0", "--set", "free_gb=0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    assert json.loads(process.stdout.readline())["what"] == "listening"
    return process


def by_storescu(folder, port):
    """Return what storescu was answered that it is stored."""
    names = sorted(path for path in folder.iterdir())
    done = subprocess.run(
        [program("storescu"), "-v", "-aec", "MEDKD", "127.0.0.1", str(port), *map(str, names)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
    )
    answers = re.findall(r"Received Store Response \((.+)\)", done.stdout + done.stderr)
    return {
        dcmread(path, stop_before_pixels=True).SOPInstanceUID for path, answer in zip(names, answers, strict=False) if answer == "Success"
    }


def by_ours(folder, port):
    """Return what our own sender noted as stored."""
    peer = DimsePeer("MEDKD", "127.0.0.1", port)
    journal = folder.with_name(f"{folder.name}.sent.json")
    journal.unlink(missing_ok=True)
    with contextlib.suppress(NetworkError):
        send(SendRequest(folder, peer, commitment=False), retries=Retries(attempts=1))
    return set(json.loads(journal.read_text())[str(peer)]) if journal.exists() else set()


@pytest.mark.extended
@pytest.mark.parametrize("sender", [by_storescu, by_ours])
def test_what_was_acknowledged_is_there_after_every_kill(tmp_path, sender):
    paths = write_study(tmp_path / "sent", OBJECTS, "1.2.3.4")
    sent = {one.SOPInstanceUID: one for one in map(dcmread, paths)}
    inbox, chance, acknowledged, broken = tmp_path / "inbox", random.Random(7), set(), 0
    for _ in range(ROUNDS):
        port = free_port()
        process = started(inbox, port)
        answered = []
        thread = threading.Thread(target=lambda port=port, answered=answered: answered.append(sender(tmp_path / "sent", port)))
        thread.start()
        time.sleep(chance.uniform(0.02, 0.6))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        thread.join()
        acknowledged |= answered[0]
        broken += len(answered[0]) < OBJECTS
        held = {path.stem: path for path in inbox.rglob("*.dcm")}
        assert acknowledged <= set(held)
        assert all(dcmread(held[uid]) == sent[uid] for uid in acknowledged)
        assert len(held) == len(list(inbox.rglob("*.dcm")))
    assert broken, "no kill came while objects did"
    port = free_port()
    process = started(inbox, port)
    assert sender(tmp_path / "sent", port) == set(sent)
    event = json.loads(process.stdout.readline())
    while event["what"] == "partial":  # what the killed ones left is said first
        event = json.loads(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    process.wait(10)
    process.stdout.close()
    assert (event["what"], event["objects"]) == ("received", OBJECTS)
    assert {path.stem for path in (inbox / "1.2.3.4").iterdir()} == set(sent)
    assert len(list(inbox.rglob("*.dcm"))) == OBJECTS
