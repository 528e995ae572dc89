from __future__ import annotations

import importlib
import re
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from data_contracts import CatalogueError, Entry, FrozenModel
from medkd import catalogue
from medkd.catalogue import CATALOGUES, LOSSES, Catalogue, entries_named_in

ROOT = Path(__file__).parents[1]


def test_every_entry_has_a_test_of_the_same_name():
    for folder in CATALOGUES.values():
        place = ROOT / "tests" / folder.package.split(".")[-1]
        missing = [name for name in folder.names() if not (place / f"test_{name}.py").is_file()]
        assert not missing, f"{folder.kind}: {missing}"


def test_every_option_and_entry_is_described():
    for folder in CATALOGUES.values():
        for name in folder.names():
            described = folder.entry(name).described()
            assert described["name"] == name
            assert described["summary"].endswith((".", "map")) or len(described["summary"]) > 20


def test_the_file_is_the_entry(tmp_path, monkeypatch):
    package = tmp_path / "newcomers"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "_private.py").write_text("")
    (package / "mine.py").write_text('def mine(student, teacher, sample, *, weight=2.0):\n    """Do."""\n    return weight\n')
    (package / "hollow.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    folder = Catalogue("losses", "newcomers")
    try:
        assert folder.names() == ("hollow", "mine")
        assert folder.bind("mine", {"weight": 3.0})(None, None, None) == 3.0
        with pytest.raises(CatalogueError) as caught:
            folder.load("hollow")
        assert caught.value.code == "CATALOGUE_MALFORMED"
    finally:
        for name in [name for name in sys.modules if name.startswith("newcomers")]:
            del sys.modules[name]


@pytest.mark.parametrize(
    ("name", "options", "code"), [("nowhere", {}, "CATALOGUE_UNKNOWN"), ("logit_kd", {"temprature": 2}, "CATALOGUE_OPTION")]
)
def test_what_does_not_bind_says_what_there_is(name, options, code):
    with pytest.raises(CatalogueError, match=r"logit_kd|temperature") as caught:
        LOSSES.bind(name, options)
    assert caught.value.code == code


@pytest.fixture
def declared(monkeypatch):
    def declare(*points):
        monkeypatch.setattr(catalogue, "declared_entry_points", lambda group: tuple(EntryPoint(n, v, group) for n, v in points))

    return declare


def test_third_parties_add_entries_without_touching_the_folder(declared):
    declared(("foreign", "medkd.distillation.logit_kd"))
    assert "foreign" in LOSSES.names()


def test_a_clash_of_names_is_an_error_naming_both(declared):
    declared(("logit_kd", "elsewhere.losses"))
    with pytest.raises(CatalogueError, match=r"medkd\.distillation\.logit_kd and elsewhere\.losses") as caught:
        LOSSES.entry("logit_kd")
    assert caught.value.code == "CATALOGUE_CLASH"
    declared(("twice", "one.place"), ("twice", "other.place"))
    with pytest.raises(CatalogueError, match=r"one\.place and other\.place"):
        LOSSES.names()


def holders_of_entries() -> set[type[FrozenModel]]:
    """Return every record, or part of one, that has a field of catalogue entries."""
    found, waiting = set(), [FrozenModel]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if any("Entry" in re.findall(r"\w+", str(field.annotation)) for field in kind.model_fields.values()):
            found.add(kind)
    return found


def test_entries_are_found_in_whatever_holds_them():
    """A record with entries that nobody tells the catalogue of would fail as its stage begins."""
    entry = Entry(name="integrated_gradients")
    kinds = holders_of_entries()
    assert len(kinds) >= 3
    for kind in kinds:
        fields = {name: (entry,) for name, field in kind.model_fields.items() if "Entry" in str(field.annotation) and name == "explainers"}
        assert set(entries_named_in(kind.model_construct(**fields))) == {"explainers/integrated_gradients"}, kind.__name__
