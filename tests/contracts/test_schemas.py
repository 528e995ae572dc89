from __future__ import annotations

from pathlib import Path

from data_contracts import RECORDS
from data_contracts.__main__ import write_schemas

DOCS = Path(__file__).parents[2] / "docs" / "schemas"


def test_the_exported_schemas_are_those_of_the_code(tmp_path):
    """When this fails: `make reference`, look at the difference, and ask whether a new version is due."""
    for path in write_schemas(tmp_path):
        assert (DOCS / path.name).read_text() == path.read_text(), path.name
    assert len(list(DOCS.glob("*.json"))) == len([schema for schema in RECORDS if schema])
