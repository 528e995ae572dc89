import pytest
from pynetdicom.status import STORAGE_SERVICE_CLASS_STATUS

from medkd.network.status import StoreStatus


@pytest.mark.parametrize("status", StoreStatus)
def test_every_status_is_one_of_the_storage_service(status):
    assert status in STORAGE_SERVICE_CLASS_STATUS
    assert len(status.comment) <= 64
    assert bool(status.comment) is (status != StoreStatus.SUCCESS)
