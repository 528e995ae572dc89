"""`medkd receive`, `medkd send` and `medkd ingest` of an archive, as they are typed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
from pydicom import dcmread

pytest.importorskip("pynetdicom", reason="pynetdicom is not installed; pip install '.[network]'")

from tests.network.peers import ENVIRONMENT, free_port, running_orthanc, send, write_study


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as one:
        yield one


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_the_whole_way_round(orthanc, here, tmp_path):
    """Pushed to us, ingested; sent on to an archive, found there, and fetched and ingested again by both protocols."""
    paths = write_study(tmp_path / "sent", 5, "1.2.3.4")
    command = [sys.executable, "-m", "flows.cli", "receive", "--out", tmp_path / "inbox", "--port", "127.0.0.1:0", "--json"]
    command += ["--store", tmp_path / "store", "--set", "quiet_s=0", "--set", "free_gb=0"]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        first = json.loads(process.stdout.readline())
        assert first["what"] == "listening"
        assert send(tmp_path / "sent", first["port"]).returncode == 0
        said = [json.loads(process.stdout.readline()) for _ in range(2)]
        assert [(one["what"], one["objects"]) for one in said] == [("received", 5), ("ingested", 5)]
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert process.stderr.read().endswith("start the same command to go on\n")
    status, text, errors = here(
        "send", tmp_path / "inbox" / "1.2.3.4", "--to", f"ORTHANC@127.0.0.1:{orthanc.dicom}", "--no-commitment", "--json"
    )
    assert status == 0, errors
    assert json.loads(text)["sent"] == 5
    assert here("send", tmp_path / "inbox" / "1.2.3.4", "--to", orthanc.web)[1].endswith(
        f"5 of 5 objects are at {orthanc.web}, 0 of them sent now\n"
    )
    series = []
    for number, uri in enumerate((f"dimse://ORTHANC@127.0.0.1:{orthanc.dicom}", orthanc.web.replace("http", "dicomweb", 1))):
        status, text, errors = here("ingest", f"{uri}?StudyInstanceUID=1.2.3.4", "--out", tmp_path / f"again-{number}", "--json")
        assert status == 0, errors
        series.append({one["series_key"] for one in json.loads(text.splitlines()[-1])["series"]})
    assert series[0] == series[1] != set()
    assert len(paths) == 5


def test_a_failure_is_named_and_is_status_one(here, tmp_path):
    from pynetdicom import AE, evt

    write_study(tmp_path / "set", 2)
    entity, answers = AE("ARCHIVE"), [0xC000, 0x0000]
    entity.add_supported_context(dcmread(tmp_path / "set" / "IM001.dcm").SOPClassUID)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda _: answers.pop(0))])
    try:
        status, text, _ = here("send", tmp_path / "set", "--to", f"ARCHIVE@127.0.0.1:{server.server_address[1]}")
    finally:
        entity.shutdown()
    assert status == 1
    assert "IM001.dcm  failed  refused, status 0xC000" in text
    assert "1 of 2 objects are at" in text


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("send", "{here}", "--to", "pacs"), "NETWORK_URI"),
        (("send", "{here}", "--to", "https://me:hidden@pacs/x"), "NETWORK_SECRET"),
        (("send", "{here}/nothing", "--to", "A@127.0.0.1:1"), "SOURCE_MISSING"),
        (("send", "{here}", "--to", "A@127.0.0.1:1"), "NOTHING_TO_SEND"),
        (("ingest", "dicomweb://127.0.0.1:1/x"), "NETWORK_URI"),
        (("ingest", "dimse://A@127.0.0.1:1?PatientName=X"), "NETWORK_URI"),
        (("receive", "--port", "x", "--out", "{here}/in"), "NETWORK_URI"),
        (("receive", "--ae", "A" * 17, "--out", "{here}/in"), "AE_TITLE"),
        (("receive", "--set", "size=3", "--out", "{here}/in"), "RECEIVER_LIMIT"),
        (("receive", "--set", "associations=0", "--out", "{here}/in"), "RECEIVER_LIMIT"),
        (("receive", "--set", "quiet_s=x", "--out", "{here}/in"), "RECEIVER_LIMIT"),
        (("receive", "--set", "sync_objects=1", "--out", "{here}/in"), "RECEIVER_LIMIT"),
        (("receive", "--tls", "{here}", "--out", "{here}/in"), "TLS_FILES"),
        (("receive", "--port", "0", "--out", "{here}", "--store", "{here}/store"), "OUT_OVERLAPS"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(here, tmp_path, monkeypatch, arguments, code):
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "here"
    place.mkdir()
    status, _, errors = here(*(argument.replace("{here}", str(place)) for argument in arguments))
    assert (status, errors.split(":")[0]) == (2, code), errors
    assert errors.startswith(f"{code}: expected ")
    assert "hidden" not in errors


def test_a_port_that_is_taken(here, tmp_path):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port := free_port()))
        taken.listen()
        assert here("receive", "--port", f"127.0.0.1:{port}", "--out", tmp_path / "in")[2].startswith("PORT_TAKEN: expected to listen")
