"""DICOMweb with Orthanc, and with servers that do what archives do on bad days."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydicom import dcmread

from data_contracts import NetworkError
from medkd.network.addresses import parse_source
from medkd.network.dicomweb import WebArchive
from medkd.network.mirror import StudyMirror, bring_studies, mirror_of
from medkd.network.retry import Retries
from tests.network.peers import send, write_study

QUICK = Retries(attempts=3, first_wait_s=0.01)


def source_of(url, study):
    return parse_source(url.replace("http://", "dicomweb://") + f"?StudyInstanceUID={study}")


def bring(url, study, **options):
    return bring_studies(source_of(url, study), WebArchive(url, **options), retries=QUICK, min_free_bytes=0)


@pytest.mark.parametrize("page", [2, 500])
def test_a_study_of_orthanc_comes_whole(orthanc, tmp_path, page):
    sent = write_study(tmp_path / "sent", 7, "1.2.3.4")
    write_study(tmp_path / "other", 2, "1.2.3.5")
    for folder in ("sent", "other"):
        assert send(tmp_path / folder, orthanc.dicom, "ORTHANC").returncode == 0
    folder = bring(orthanc.web, "1.2.3.4", page=page)
    assert [path.name for path in folder.iterdir()] == ["1.2.3.4"]
    got = {one.SOPInstanceUID: one for one in map(dcmread, (folder / "1.2.3.4").iterdir())}
    assert {one.SOPInstanceUID: one for one in map(dcmread, sent)} == got


def test_studies_are_found_by_other_keys(orthanc, tmp_path):
    write_study(tmp_path / "sent", 1, "1.2.3.4")
    write_study(tmp_path / "more", 1, "1.2.3.5")
    for folder in ("sent", "more"):
        send(tmp_path / folder, orthanc.dicom, "ORTHANC")
    archive = WebArchive(orthanc.web, page=1)
    assert set(archive.studies((("PatientID", "P-17"),))) == {"1.2.3.4", "1.2.3.5"}
    assert archive.studies((("PatientID", "nobody"),)) == []
    with pytest.raises(NetworkError) as caught:
        bring(orthanc.web, "9.9.9")
    assert caught.value.code == "NO_STUDY"


class BadDay(BaseHTTPRequestHandler):
    """An archive of one study that fails as its ``faults`` say; counts what it is asked."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        day = self.server.day
        path, _, query = self.path.partition("?")
        day.asked.append(self.path)
        day.headers.append(dict(self.headers))
        if day.faults and (fault := day.faults.pop(0)) is not None:
            return fault(self)
        if path.endswith("/studies"):
            return self.answer([{"0020000D": {"vr": "UI", "Value": ["1.2.3.4"]}}], query)
        if path.endswith("/instances"):
            return self.answer(
                [{"0020000E": {"vr": "UI", "Value": ["1.2.9"]}, "00080018": {"vr": "UI", "Value": [uid]}} for uid in day.objects], query
            )
        return self.file(day.objects[path.rpartition("/")[2]])

    def answer(self, found, query=""):
        given = dict(part.split("=") for part in query.split("&") if "=" in part)
        begin = 0 if self.server.day.ignores_offset else int(given.get("offset", 0))
        body = json.dumps(found[begin : begin + int(given.get("limit", 1000))]).encode()
        self.say(200, body, "application/dicom+json")

    def file(self, payload, cut=0):
        body = b"--xx\r\nContent-Type: application/dicom\r\n\r\n" + payload[: len(payload) - cut] + b"\r\n--xx--"
        self.say(200, body, 'multipart/related; type="application/dicom"; boundary=xx')

    def say(self, status, body=b"", kind="text/plain"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Day:
    def __init__(self, paths):
        self.objects = {dcmread(path).SOPInstanceUID: path.read_bytes() for path in paths}
        self.faults, self.asked, self.headers, self.ignores_offset = [], [], [], False


@contextmanager
def bad_day(paths):
    server = ThreadingHTTPServer(("127.0.0.1", 0), BadDay)
    server.day = Day(paths)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server.day, f"http://127.0.0.1:{server.server_address[1]}/dicom-web"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def paths(tmp_path):
    return write_study(tmp_path / "sent", 4, "1.2.3.4")


def status(code):
    return lambda handler: handler.say(code)


def dropped(handler):
    handler.close_connection = True
    handler.connection.close()


def cut(handler):
    handler.file(next(iter(handler.server.day.objects.values())), cut=77)


def too_short(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"abc")
    handler.close_connection = True


FAULTS = [(fault, place) for fault in (status(503), status(429), status(500), dropped, too_short) for place in (0, 1, 3, 4)]


@pytest.mark.parametrize(("fault", "place"), [*FAULTS, (cut, 3), (cut, 4)])
def test_what_fails_for_the_moment_is_asked_again_and_nothing_that_came_is(paths, fault, place):
    with bad_day(paths) as (day, url):
        # studies (an answer and an empty page), instances (the same), and then the objects
        day.faults = [None] * (place + (place > 0)) + [fault]
        folder = bring(url, "1.2.3.4")
        assert len(list((folder / "1.2.3.4").glob("*.dcm"))) == 4
        objects = [path for path in day.asked if "/instances/" in path]
        assert len(objects) <= 5
        before = len(objects)
        bring(url, "1.2.3.4")
        assert len([path for path in day.asked if "/instances/" in path]) == before


def test_a_study_that_does_not_come_whole_is_none_and_goes_on_from_there(paths):
    with bad_day(paths) as (day, url):
        day.faults = [None] * 6 + [status(503)] * 30
        with pytest.raises(NetworkError) as caught:
            bring(url, "1.2.3.4")
        assert caught.value.code == "PARTIAL_STUDY"
        assert "expected 4 objects" in str(caught.value)
        assert "2 came" in str(caught.value)
        day.faults, day.asked = [], []
        assert len(list((bring(url, "1.2.3.4") / "1.2.3.4").glob("*.dcm"))) == 4
        assert len([path for path in day.asked if "/instances/" in path]) == 2


def test_what_the_archive_has_no_longer_is_not_kept(paths):
    with bad_day(paths) as (day, url):
        bring(url, "1.2.3.4")
        gone = next(iter(day.objects))
        del day.objects[gone]
        assert gone not in {path.stem for path in (bring(url, "1.2.3.4") / "1.2.3.4").iterdir()}


def test_an_archive_that_gives_the_same_page_again_and_again(paths):
    with bad_day(paths) as (day, url):
        day.ignores_offset = True
        assert len(WebArchive(url, page=4).instances("1.2.3.4")) == 4


@pytest.mark.parametrize(
    ("fault", "code"),
    [(status(401), "PEER_REFUSED"), (status(403), "PEER_REFUSED"), (status(404), "PEER_REFUSED"), (status(503), "PEER_REFUSED"), (dropped, "PEER_UNREACHABLE"),
     (lambda handler: handler.say(200, b"<html>", "text/html"), "PEER_ANSWER"), (lambda handler: handler.say(200, b"[[[", "application/json"), "PEER_ANSWER")],
)  # fmt: skip
def test_what_an_archive_refuses_is_said_in_its_words(paths, fault, code):
    with bad_day(paths) as (day, url):
        day.faults = [fault] * 20
        with pytest.raises(NetworkError) as caught:
            bring(url, "1.2.3.4")
        assert caught.value.code == code
        assert "1.2.3.4" not in str(caught.value)


def test_an_archive_that_does_not_answer_in_time(paths):
    import time

    with bad_day(paths) as (day, url):
        day.faults = [lambda _: time.sleep(0.6)] * 5
        with pytest.raises(NetworkError) as caught:
            bring(url, "1.2.3.4", timeout_s=(1.0, 0.2))
        assert caught.value.code == "QIDO_TIMEOUT"


def test_identifiers_that_would_be_paths(paths):
    with bad_day(paths) as (day, url):
        day.objects["../../x"] = b""
        with pytest.raises(NetworkError) as caught:
            bring(url, "1.2.3.4")
        assert caught.value.code == "PEER_ANSWER"


def test_a_full_disk_is_said_before_anything_is_fetched(paths):
    with bad_day(paths) as (day, url):
        with pytest.raises(NetworkError) as caught:
            bring_studies(source_of(url, "1.2.3.4"), WebArchive(url), retries=QUICK, min_free_bytes=1 << 60)
        assert caught.value.code == "DISK_FULL"
        assert list(mirror_of(source_of(url, "1.2.3.4")).rglob("*.dcm")) == []
        assert day.asked


def test_the_token_travels_in_a_header_and_nowhere_else(paths, monkeypatch, tmp_path, caplog):
    (tmp_path / "token").write_text("s3cret-token\n")
    monkeypatch.setenv("MEDKD_DICOMWEB_TOKEN_FILE", str(tmp_path / "token"))
    with bad_day(paths) as (day, url):
        bring(url, "1.2.3.4")
        assert {one["Authorization"] for one in day.headers} == {"Bearer s3cret-token"}
        assert not [path for path in day.asked if "s3cret" in path]
        day.faults = [status(401)] * 9
        with pytest.raises(NetworkError) as caught:
            bring(url, "1.2.3.4")
        assert "s3cret" not in str(caught.value) + caplog.text


def test_a_mirror_keeps_nothing_that_is_not_the_object(tmp_path, paths):
    mirror = StudyMirror(tmp_path / "1.2.3.4", min_free_bytes=0)
    payload = paths[0].read_bytes()
    from data_contracts import DataError

    for instance, given in (("1.2.3", payload), (dcmread(paths[0]).SOPInstanceUID, payload[:-3])):
        with pytest.raises(DataError):
            mirror.keep((given,), instance)
    assert list(mirror.folder.iterdir()) == []
