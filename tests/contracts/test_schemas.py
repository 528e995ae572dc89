from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import pytest

from data_contracts import RECORDS, FrozenModel
from data_contracts.__main__ import write_schemas

DOCS = Path(__file__).parents[2] / "docs" / "schemas"


def test_the_exported_schemas_are_those_of_the_code(tmp_path):
    """When this fails: `make reference`, look at the difference, and ask whether a new version is due."""
    for path in write_schemas(tmp_path):
        assert (DOCS / path.name).read_text() == path.read_text(), path.name
    assert len(list(DOCS.glob("*.json"))) == len([schema for schema in RECORDS if schema])


@pytest.mark.parametrize(
    "module", ["recipe", "card_notes", "task", "training_recipe", "explain_plan", "experiment_plan", "data", "ingest_policy"]
)
def test_every_field_of_a_recipe_says_what_it_is(module):
    described = 0
    for name, record in vars(importlib.import_module(f"data_contracts.{module}")).items():
        if inspect.isclass(record) and issubclass(record, FrozenModel) and record.__module__.endswith(f".{module}"):
            schema = record.model_json_schema()
            fields = schema.get("properties") or schema["$defs"][name]["properties"]
            assert not [field for field, shown in fields.items() if not shown.get("description", "").strip()], name
            assert set(record.field_descriptions()) <= set(record.model_fields), name
            described += len(fields)
    assert described


def test_a_description_is_the_docstrings_text_on_one_line():
    class Parent(FrozenModel):
        """A part.

        Attributes:
            size: in mm,
                along the row.
        """

        size: int

    class Child(Parent):
        """A smaller part.

        Attributes:
            name: what it is called.
        """

        name: str = ""
        silent: int = 0

    fields = Child.model_json_schema()["properties"]
    assert [fields[name].get("description") for name in ("size", "name", "silent")] == ["in mm, along the row.", "what it is called.", None]
    assert Child.model_json_schema()["description"] == "A smaller part."
