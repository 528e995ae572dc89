import pytest

from data_contracts import NetworkError
from medkd.network.addresses import DimsePeer, WebPeer, is_network_source, parse_listen, parse_peer, parse_source, require_ae_title


@pytest.mark.parametrize(
    ("text", "peer"),
    [
        ("ARCHIVE@pacs:104", DimsePeer("ARCHIVE", "pacs", 104)),
        ("dimse://ARCHIVE@pacs.example:104", DimsePeer("ARCHIVE", "pacs.example", 104)),
        ("dimses://ARCHIVE@[::1]:2762", DimsePeer("ARCHIVE", "::1", 2762, tls=True)),
        ("https://pacs/dicom-web/", WebPeer("https://pacs/dicom-web")),
        ("dicomwebs://pacs:8443/a/b", WebPeer("https://pacs:8443/a/b")),
        ("dicomweb://127.0.0.1:8042/dicom-web", WebPeer("http://127.0.0.1:8042/dicom-web")),
    ],
)
def test_archives_by_their_addresses(text, peer):
    assert parse_peer(text) == peer


def test_a_source_says_what_is_asked_and_how_it_comes():
    found = parse_source("dimse://A@h:104?PatientID=7%208&StudyDate=20250101-&move=OURS:11113&calling=US")
    assert found.peer == DimsePeer("A", "h", 104, calling="US")
    assert found.keys == (("PatientID", "7 8"), ("StudyDate", "20250101-"))
    assert found.move == ("OURS", 11113)


@pytest.mark.parametrize(
    "text",
    ["", "pacs:104", "A@pacs", "A@pacs:x", "A@pacs:99999", "A@:104", "dimse://pacs:104", "dimse://A@h:104/path", "ftp://x", "https://", "https://h?x=1", "dimse://A:p@h:1", "A" * 17 + "@h:1"],
)  # fmt: skip
def test_what_is_no_address(text):
    with pytest.raises(NetworkError) as caught:
        parse_peer(text)
    assert caught.value.code in ("NETWORK_URI", "AE_TITLE")
    assert str(caught.value).startswith("expected ")


@pytest.mark.parametrize(
    "query",
    ["", "?", "?StudyInstanceUID=", "?PatientID=*", "?PatientName=X", "?StudyInstanceUID=1&move=x", "?StudyInstanceUID=1&move=A:0"],
)
def test_what_asks_for_nothing_or_for_everything(query):
    with pytest.raises(NetworkError) as caught:
        parse_source(f"dimse://A@h:104{query}")
    assert caught.value.code == "NETWORK_URI"
    with pytest.raises(NetworkError):
        parse_source("dicomweb://h/x?StudyInstanceUID=1&move=A:1")


def test_a_password_is_refused_and_not_repeated():
    with pytest.raises(NetworkError) as caught:
        parse_peer("https://me:hidden@pacs/x")
    assert caught.value.code == "NETWORK_SECRET"
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(("text", "found"), [("104", ("", 104)), ("127.0.0.1:0", ("127.0.0.1", 0)), ("::1:104", ("::1", 104))])
def test_where_to_listen(text, found):
    assert parse_listen(text) == found


@pytest.mark.parametrize("text", ["", "x", "-1", "70000", "h:", "²"])
def test_where_nobody_can_listen(text):
    with pytest.raises(NetworkError):
        parse_listen(text)


@pytest.mark.parametrize("title", ["", " A", "A ", "A\\B", "Ä", "A" * 17, "A\n"])
def test_what_is_no_title(title):
    with pytest.raises(NetworkError):
        require_ae_title(title)


def test_what_is_a_source_of_an_archive():
    assert [is_network_source(one) for one in ("dimse://x", "DICOMWEBS://x", "s3://x", "/dimse", "dimse:x")] == [
        True,
        True,
        False,
        False,
        False,
    ]
