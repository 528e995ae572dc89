from __future__ import annotations

import pytest

from data_contracts import (
    MIGRATIONS,
    ContractError,
    Estimate,
    Ref,
    Registered,
    load_record,
    read_record,
)
from data_contracts.record import VersionedRecord


def test_the_digest_is_of_the_content_and_not_of_the_order_of_its_writing():
    first = Ref(store="run", key="a", sha256="0" * 64)
    second = Ref.model_validate({"sha256": "0" * 64, "key": "a", "store": "run"})
    assert first.digest() == second.digest()
    assert first.digest() != Ref(store="run", key="b", sha256="0" * 64).digest()


@pytest.mark.parametrize("key", ["/absolute", "../up", "a/../../b"])
def test_a_reference_cannot_leave_its_store(key):
    with pytest.raises(ValueError, match="relative to the store"):
        Ref(store="run", key=key, sha256="0" * 64)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_figure_is_finite(value):
    with pytest.raises(ValueError, match="finite"):
        Estimate(mean=value, low=0, high=1, n=1)


def test_text_that_is_not_json_a_wrong_version_and_a_missing_file_have_their_codes(tmp_path):
    with pytest.raises(ContractError) as caught:
        read_record(b"{", Registered)
    assert caught.value.code == "CONTRACT_UNREADABLE"
    with pytest.raises(ContractError) as caught:
        read_record(b'{"schema_version":"registered/99","models":[]}', Registered)
    assert caught.value.code == "CONTRACT_VERSION"
    with pytest.raises(ContractError) as caught:
        load_record(tmp_path / "none.json", Registered)
    assert caught.value.code == "CONTRACT_MISSING"


def test_an_older_version_is_lifted_by_its_migration(monkeypatch):
    monkeypatch.setitem(MIGRATIONS, "registered/0", lambda data: {"schema_version": "registered/1", "models": data["versions"]})
    assert read_record(b'{"schema_version":"registered/0","versions":[]}', Registered).models == ()


def test_two_records_cannot_share_a_schema():
    with pytest.raises(TypeError, match="one record per schema"):
        type("Impostor", (VersionedRecord,), {"SCHEMA": "registered/1", "__module__": __name__})
