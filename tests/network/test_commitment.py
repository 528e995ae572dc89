"""Reports that are not ours, and ports that are taken; commitment with Orthanc and others is in test_send.py."""

import socket

import pytest
from pydicom import Dataset

from data_contracts import NetworkError
from medkd.network.addresses import DimsePeer
from medkd.network.commitment import _asked, _Reports, request_commitment


class Event:
    def __init__(self, transaction):
        self.event_information = Dataset()
        self.event_information.TransactionUID = transaction


def test_a_report_of_another_transaction_is_not_taken():
    ours = _Reports("1.2.3")
    assert ours.hear(Event("1.2.4"))[0] != 0
    assert ours.found is None
    assert ours.hear(Event("1.2.3"))[0] == 0
    assert ours.found.committed == frozenset()


def test_what_is_asked_names_every_object():
    asked = _asked("1.2.3", [("1.4", "1.5"), ("1.4", "1.6")])
    assert [one.ReferencedSOPInstanceUID for one in asked.ReferencedSOPSequence] == ["1.5", "1.6"]


def test_a_port_that_somebody_has():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(NetworkError) as caught:
            request_commitment(DimsePeer("A", "127.0.0.1", 1), [], listen=("127.0.0.1", taken.getsockname()[1]))
    assert caught.value.code == "PORT_TAKEN"
