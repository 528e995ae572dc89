from __future__ import annotations

import math

import pytest

from data_contracts import Estimate
from flows.tables import interval, number, table


def test_a_table_stands_in_columns():
    assert table("model", ["auc", "dice"], {"kd": [".8", ".75"], "alone": [".7", ""]}) == (
        "model  kd   alone\n-----  ---  -----\nauc    .8   .7\ndice   .75"
    )


def test_columns_that_do_not_fit_go_on_in_a_block_below():
    text = table("m", ["a"], {f"arm{n}": ["x" * 30] for n in range(4)}, width=70)
    blocks = text.split("\n\n")
    assert [block.splitlines()[0].split() for block in blocks] == [["m", "arm0", "arm1"], ["m", "arm2", "arm3"]]
    assert max(map(len, text.splitlines())) <= 70
    assert len(table("m", ["a"], {"arm": ["x" * 99]}, width=50).splitlines()) == 3


@pytest.mark.parametrize(
    ("value", "plain", "signed"),
    [
        (0.85, ".850", "+.850"),
        (-0.05, "-.050", "-.050"),
        (1.0, "1.000", "+1.000"),
        (10.04, "10.040", "+10.040"),
        (0.0, ".000", "+.000"),
        (math.nan, "nan", "nan"),
    ],
)
def test_a_number_has_three_decimals_and_no_leading_zero(value, plain, signed):
    assert (number(value), number(value, signed=True)) == (plain, signed)


def test_an_interval_stands_in_brackets():
    figure = Estimate(mean=0.85, low=0.808, high=0.888, n=9)
    assert interval(figure) == ".850 [.808, .888]"
    assert interval(figure, signed=True) == "+.850 [+.808, +.888]"
    assert interval(None) == ""
