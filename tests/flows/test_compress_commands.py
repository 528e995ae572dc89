"""The command: what it refuses before anything is made; the whole of it is `test_compress.py`'s."""

from __future__ import annotations

import pytest

from flows.compress_recipe import SHIPPED

DEMO = SHIPPED / "compression" / "phantom-segmentation.yaml"


@pytest.fixture
def asked(here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDKD_DATA", str(tmp_path))
    return lambda recipe, *more: here("compress", recipe, "--engine", "none", *more)


def test_recipes_runs_and_outputs_that_are_none_are_refused_in_one_sentence(asked, tmp_path):
    (tmp_path / "broken.yaml").write_text("name: [")
    (tmp_path / "file").write_text("x")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("x")
    for recipe, more, code in (
        (tmp_path / "none.yaml", (), "RECIPE_MISSING"),
        (tmp_path / "broken.yaml", (), "RECIPE_UNREADABLE"),
        (SHIPPED / "hippocampus.yaml", (), "RECIPE_INVALID"),
        (DEMO, ("--run", tmp_path / "nowhere"), "REGISTRY_"),
        (DEMO, ("--set", "data.nothing=1"), "RECIPE_"),
        (SHIPPED / "compression" / "busbra.yaml", ("--run", tmp_path / "nowhere"), "SOURCE_MISSING"),
    ):
        status, _, said = asked(recipe, *more)
        assert status == 2
        assert said.strip().splitlines()[-1].startswith(code), said
    assert not (tmp_path / "nowhere").exists()
