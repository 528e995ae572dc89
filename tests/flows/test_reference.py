from __future__ import annotations

import typing
from typing import Annotated, Literal

import pytest

from data_contracts import RECORDS, IngestCode, MedkdError
from flows.reference import _below, _cell, _commands, _contracts, _type, write_reference
from medkd.catalogue import CATALOGUES


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        (int, "int"),
        (type(None), "None"),
        (str | None, "str or None"),
        (typing.Optional[float], "float or None"),  # noqa: UP045
        (tuple[int, ...], "tuple[int, …]"),
        (dict[str, list[int]], "dict[str, list[int]]"),
        (Literal["a", "b"], "'a' or 'b'"),
        (Annotated[float, "finite"], "float"),
    ],
)
def test_a_type_is_said_as_a_reader_would_write_it(annotation, said):
    assert _type(annotation) == said


def test_a_cell_is_one_line_and_does_not_end_its_row():
    assert _cell("a |\n  b") == "a \\| b"


def test_every_error_record_and_code_has_its_place():
    page = "\n".join(_contracts())
    assert all(f"`{code.value}`" in page for code in IngestCode)
    assert all(f"(`{schema}`)" in page for schema in RECORDS if schema and not schema.startswith("test"))
    errors = [error.__name__ for error in _below(MedkdError)]
    assert len(errors) == len(set(errors)) >= 13
    assert all(f"`{name}`" in page for name in errors)


def test_commands_of_a_group_stand_under_their_whole_names():
    page = "\n".join(_commands())
    assert {"## medkd recipe check", "## medkd ingest", "## medkd list"} <= set(page.splitlines())
    assert "| `SOURCE` |" in page
    assert "`--dry-run`" in page


def test_every_page_is_written_and_the_catalogue_lists_every_entry(tmp_path):
    pages = write_reference(tmp_path)
    assert [page.name for page in pages] == ["cli.md", "contracts.md", "catalogue.md", "network.md"]
    text = (tmp_path / "catalogue.md").read_text()
    assert all(f"| `{name}` |" in text for catalogue in CATALOGUES.values() for name in catalogue.names())
