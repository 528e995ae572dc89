"""Every version of every record that was ever written can be read, and gives the same bytes and digest again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

import data_contracts
from data_contracts import MIGRATIONS, RECORDS, RETIRED, read_record
from data_contracts.old_names import RECORD_FIELDS
from data_contracts.record import migrated

GOLDEN = Path(__file__).parent / "golden"
SCHEMAS = sorted(schema for schema in RECORDS if schema)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_golden_file_is_read_and_written_unchanged(schema):
    payload = (GOLDEN / f"{schema.replace('/', '_')}.json").read_bytes()
    record = read_record(payload, RECORDS[schema])
    assert record.canonical_json() == payload
    assert record.digest() == hashlib.sha256(payload).hexdigest()


@pytest.mark.parametrize("schema", sorted(RECORD_FIELDS))
def test_a_golden_file_under_old_names_is_lifted_to_the_newest(schema):
    payload = (GOLDEN / f"{schema.replace('/', '_')}.json").read_bytes()
    newest = migrated(json.loads(payload))["schema_version"]
    record = read_record(payload, RECORDS[newest])
    assert record.canonical_json() == (GOLDEN / f"{newest.replace('/', '_')}.json").read_bytes()


def test_every_golden_file_is_of_a_known_version():
    known = {schema.replace("/", "_") for schema in (*SCHEMAS, *MIGRATIONS, *RETIRED)}
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


def _newest(schema):
    """Return the class that records of an earlier schema are read as."""
    payload = json.loads((GOLDEN / f"{schema.replace('/', '_')}.json").read_bytes())
    return RECORDS[migrated(payload)["schema_version"]]


@pytest.mark.parametrize("schema", sorted(MIGRATIONS))
def test_a_record_of_an_earlier_version_is_read_as_the_newest(schema):
    payload = (GOLDEN / f"{schema.replace('/', '_')}.json").read_bytes()
    record = read_record(payload, _newest(schema))
    assert record.schema_version == record.SCHEMA != schema
    assert read_record(record.canonical_json(), _newest(schema)) == record


@pytest.mark.parametrize(("schema", "expected"), [("review/1", "ReviewReport"), ("lesion_explanation/1", "StudyExplanation")])
def test_a_retired_record_is_refused_by_its_version_with_what_to_do(schema, expected):
    payload = (GOLDEN / f"{schema.replace('/', '_')}.json").read_bytes()
    with pytest.raises(data_contracts.ContractError, match=f"'{schema}'.*medkd (report|explain)") as caught:
        read_record(payload, getattr(data_contracts, expected))
    assert caught.value.code == "CONTRACT_VERSION"
