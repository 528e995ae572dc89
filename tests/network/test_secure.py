"""Certificates and tokens: a peer without the right ones gets nowhere, and nothing of them is said."""

from __future__ import annotations

import socket
import ssl
from dataclasses import replace

import pytest
from pynetdicom import build_context
from pynetdicom.sop_class import Verification

from data_contracts import NetworkError
from medkd.network.addresses import DimsePeer
from medkd.network.association import associated
from medkd.network.receive import Receiver, ReceiverLimits
from medkd.network.retry import Transient
from medkd.network.secure import bearer_token, client_context, server_context
from medkd.network.send import SendRequest, send
from medkd.network.study_inbox import InboxLimits
from tests.certificates import signed, write
from tests.network.peers import wait_for, write_study

QUICK = ReceiverLimits(inbox=InboxLimits(quiet_s=0.0, min_free_bytes=0))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    root = tmp_path_factory.mktemp("tls")
    authority, key = signed("authority", authority=True)
    unknown, strange_key = signed("unknown", authority=True)
    return {
        "server": write(root / "server", *signed("server", authority, key), authority),
        "client": write(root / "client", *signed("client", authority, key), authority),
        "no certificate": write(root / "none", authority=authority),
        "a unknown's": write(root / "strange", *signed("client", unknown, strange_key), authority),
        "trusts others": write(root / "others", *signed("client", authority, key), unknown),
    }


def test_objects_travel_over_tls_with_both_certificates(certificates, tmp_path):
    write_study(tmp_path / "set", 3)
    with Receiver(tmp_path / "inbox", 0, "MEDKD", host="127.0.0.1", limits=QUICK, tls=server_context(certificates["server"])) as receiver:
        peer = DimsePeer("MEDKD", "127.0.0.1", receiver.port, tls=True)
        outcomes = send(SendRequest(tmp_path / "set", peer, tls=certificates["client"]))
        assert {one.state for one in outcomes} == {"sent"}
        (folder,) = wait_for(receiver.release)
        assert len(list(folder.iterdir())) == 3


@pytest.mark.parametrize("who", ["no certificate", "a unknown's", "trusts others", "in clear"])
def test_who_is_not_trusted_gets_no_association(certificates, tmp_path, who):
    with Receiver(tmp_path / "inbox", 0, "MEDKD", host="127.0.0.1", limits=QUICK, tls=server_context(certificates["server"])) as receiver:
        contexts = [build_context(Verification)]
        peer = DimsePeer("MEDKD", "127.0.0.1", receiver.port, tls=who != "in clear")
        with pytest.raises(Transient) as caught, associated(peer, contexts, tls=certificates.get(who)):
            raise AssertionError
        assert caught.value.__cause__.code in ("PEER_UNREACHABLE", "ASSOCIATION_ABORTED")
        with associated(replace(peer, tls=True), contexts, tls=certificates["client"]) as association:
            assert association.send_c_echo().Status == 0


def test_a_handshake_that_never_comes_keeps_nobody_waiting(certificates, tmp_path):
    with Receiver(tmp_path / "inbox", 0, "MEDKD", host="127.0.0.1", limits=QUICK, tls=server_context(certificates["server"])) as receiver:
        peer = DimsePeer("MEDKD", "127.0.0.1", receiver.port, tls=True)
        with (
            socket.create_connection(("127.0.0.1", receiver.port)),
            associated(peer, [build_context(Verification)], tls=certificates["client"]) as one,
        ):
            assert one.send_c_echo().Status == 0


def test_old_protocols_and_unnamed_peers_are_refused(certificates):
    assert server_context(certificates["server"]).minimum_version == ssl.TLSVersion.TLSv1_2
    assert server_context(certificates["server"]).verify_mode == ssl.CERT_REQUIRED
    assert client_context().check_hostname
    assert client_context(certificates["client"]).check_hostname
    assert client_context(certificates["client"]).verify_mode == ssl.CERT_REQUIRED


def test_folders_that_hold_no_certificates(tmp_path, certificates):
    (tmp_path / "junk").mkdir()
    for name in ("tls.crt", "tls.key", "ca.crt"):
        (tmp_path / "junk" / name).write_bytes(b"junk")
    for make, folder in (
        (server_context, tmp_path),
        (server_context, tmp_path / "junk"),
        (client_context, tmp_path / "junk"),
        (client_context, tmp_path / "no"),
    ):
        with pytest.raises(NetworkError) as caught:
            make(folder)
        assert caught.value.code == "TLS_FILES"


@pytest.mark.parametrize("token", ["a b", "ä", "x\ny"])
def test_tokens_that_are_none(monkeypatch, token):
    monkeypatch.setenv("MEDKD_DICOMWEB_TOKEN", token)
    with pytest.raises(NetworkError) as caught:
        bearer_token("https://h/x")
    assert token not in str(caught.value)


def test_a_token_does_not_travel_in_clear(monkeypatch, tmp_path):
    assert bearer_token("http://pacs/x") is None
    monkeypatch.setenv("MEDKD_DICOMWEB_TOKEN", "hidden")
    assert bearer_token("https://pacs/x") == bearer_token("http://127.0.0.1:1/x") == "hidden"
    with pytest.raises(NetworkError) as caught:
        bearer_token("http://pacs/x")
    assert caught.value.code == "NETWORK_TOKEN"
    assert "hidden" not in str(caught.value)
    monkeypatch.delenv("MEDKD_DICOMWEB_TOKEN")
    monkeypatch.setenv("MEDKD_DICOMWEB_TOKEN_FILE", str(tmp_path / "nothing"))
    with pytest.raises(NetworkError):
        bearer_token("https://pacs/x")
