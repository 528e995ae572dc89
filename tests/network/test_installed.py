import logging

import pytest

from data_contracts import MissingDependencyError
from medkd.network import installed


def test_what_is_missing_is_named(monkeypatch):
    installed.require_network()
    assert logging.getLogger("pynetdicom").level == logging.CRITICAL

    def nothing(package):
        raise installed.PackageNotFoundError(package)

    monkeypatch.setattr(installed, "version", nothing)
    with pytest.raises(MissingDependencyError, match="pynetdicom") as caught:
        installed.require_network()
    assert caught.value.code == "NETWORK_LIBRARIES"
