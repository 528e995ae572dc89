import pytest
from pynetdicom import AE, build_context
from pynetdicom.sop_class import CTImageStorage, Verification

from data_contracts import NetworkError
from medkd.network.addresses import DimsePeer
from medkd.network.association import associated, broke_off
from medkd.network.retry import Transient
from tests.network.peers import free_port


@pytest.fixture
def provider():
    entity = AE("ARCHIVE")
    entity.add_supported_context(Verification)
    entity.start_server(("127.0.0.1", port := free_port()), block=False)
    yield entity, DimsePeer("ARCHIVE", "127.0.0.1", port)
    entity.shutdown()


def refused(peer, contexts=(Verification,)):
    with pytest.raises((NetworkError, Transient)) as caught, associated(peer, [build_context(one) for one in contexts]):
        raise AssertionError
    error = caught.value
    return (error.__cause__.code, True) if isinstance(error, Transient) else (error.code, False)


def test_an_association_is_released_afterwards(provider):
    _, peer = provider
    with associated(peer, [build_context(Verification)]) as association:
        assert association.send_c_echo().Status == 0
    assert association.is_released
    with pytest.raises(KeyError), associated(peer, [build_context(Verification)]) as association:
        raise KeyError
    assert association.is_aborted


def test_every_way_of_being_refused_has_its_code(provider):
    entity, peer = provider
    assert refused(peer, [CTImageStorage]) == ("NO_PRESENTATION_CONTEXT", False)
    entity.require_called_aet = True
    assert refused(DimsePeer("OTHER", peer.host, peer.port)) == ("CALLED_AE_UNKNOWN", False)
    entity.require_calling_aet = ["FRIEND"]
    assert refused(peer) == ("CALLING_AE_UNKNOWN", False)
    entity.require_calling_aet = []
    entity.maximum_associations = 1
    with associated(peer, [build_context(Verification)]):
        assert refused(peer) == ("PEER_REFUSED", True)
    assert refused(DimsePeer("ARCHIVE", "127.0.0.1", free_port())) == ("PEER_UNREACHABLE", True)
    assert refused(DimsePeer("ARCHIVE", "no-such-host.invalid", 104)) == ("PEER_UNREACHABLE", True)


def test_what_broke_off_is_said_with_its_peer():
    error = broke_off(DimsePeer("A", "h", 1), "C-FIND")
    assert error.__cause__.code == "ASSOCIATION_ABORTED"
    assert "A@h:1" in str(error.__cause__)
