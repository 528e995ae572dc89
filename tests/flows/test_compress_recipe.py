"""A compression recipe and the recipe of its data, read together."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import MedkdError
from flows.compress_recipe import SHIPPED, read_plan

DEMO = SHIPPED / "compression" / "phantom-segmentation.yaml"


def test_the_table_goes_below_the_run_or_where_it_is_wanted():
    plan = read_plan(DEMO, {"data.test": 40}, Path("run"), named=False)
    assert plan.out == Path("run/compression/phantom-compression")
    assert plan.data.data.test == 40
    assert read_plan(DEMO, {}, Path("out"), named=True).out == Path("out")


def test_what_is_wrong_with_either_is_said(tmp_path):
    with pytest.raises(MedkdError) as caught:
        read_plan(DEMO, {"data.tset": 40}, tmp_path, named=True)
    assert caught.value.code.startswith("RECIPE_")
    with pytest.raises(MedkdError) as caught:
        read_plan(tmp_path / "none.yaml", {}, tmp_path, named=True)
    assert caught.value.code == "RECIPE_MISSING"
