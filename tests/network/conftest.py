from __future__ import annotations

import pytest

from tests.network.peers import running_orthanc

pytest.importorskip("pynetdicom", reason="pynetdicom is not installed; pip install '.[network]'")
pytest.importorskip("dicomweb_client", reason="dicomweb-client is not installed; pip install '.[network]'")


def pytest_collection_modifyitems(items):
    # Servers of pynetdicom, which tests start as peers, leave connections open that their peers closed first.
    for item in items:
        if item.path.parent.name == "network":
            item.add_marker(
                pytest.mark.filterwarnings("ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning")
            )


@pytest.fixture(scope="module")
def orthanc_started(tmp_path_factory):
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as one:
        yield one


@pytest.fixture
def orthanc(orthanc_started):
    """Return an archive without studies."""
    orthanc_started.clear()
    return orthanc_started


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Keep mirrors of archives in the folder of the test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
