"""Every version of every record that was ever written can be read, and gives the same bytes and digest again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

import data_contracts
from data_contracts import MIGRATIONS, RECORDS, read_record
from data_contracts.record import migrated

GOLDEN = Path(__file__).parent / "golden"
SCHEMAS = sorted(schema for schema in RECORDS if schema)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_golden_file_is_read_and_written_unchanged(schema):
    payload = (GOLDEN / f"{schema.replace('/', '_')}.json").read_bytes()
    record = read_record(payload, RECORDS[schema])
    assert record.canonical_json() == payload
    assert record.digest() == hashlib.sha256(payload).hexdigest()


@pytest.mark.parametrize("schema", sorted(MIGRATIONS))
def test_a_golden_file_of_an_older_version_is_lifted(schema):
    payload = (GOLDEN / f"{schema.replace('/', '_')}.json").read_bytes()
    newest = migrated(json.loads(payload))["schema_version"]
    record = read_record(payload, RECORDS[newest])
    assert record.canonical_json() == (GOLDEN / f"{newest.replace('/', '_')}.json").read_bytes()


def test_every_golden_file_is_of_a_known_version():
    known = {schema.replace("/", "_") for schema in (*SCHEMAS, *MIGRATIONS)}
    assert {path.stem for path in GOLDEN.glob("*.json")} == known


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_field_that_nobody_knows_is_refused(schema):
    payload = (GOLDEN / f"{schema.replace('/', '_')}.json").read_bytes()
    changed = payload[:-1] + b',"surprise":1}'
    with pytest.raises(data_contracts.ContractError, match="surprise") as caught:
        read_record(changed, RECORDS[schema])
    assert caught.value.code == "CONTRACT_INVALID"


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_record_cannot_be_changed(schema):
    record = read_record((GOLDEN / f"{schema.replace('/', '_')}.json").read_bytes(), RECORDS[schema])
    with pytest.raises(ValueError, match="frozen"):
        record.schema_version = "other/1"
