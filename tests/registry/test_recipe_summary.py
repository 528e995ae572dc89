"""Figures, page and picture of a recipe's run."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from data_contracts import TrainingCost
from medkd.registry.recipe_summary import arm_metrics, recipe_summary, scorecards_html, seed_figures, total_cost
from medkd.storage.workspace import local_workspace
from tests.registry.scorecards import card


def test_each_arm_has_its_mean_and_both_bounds():
    found = arm_metrics([card("teacher", dice=0.9), card("kd", dice=0.8)])
    assert set(found) == {f"{arm}/dice{end}" for arm in ("teacher", "kd") for end in ("", "_low", "_high")}
    assert (found["kd/dice"], found["kd/dice_low"], found["kd/dice_high"]) == pytest.approx((0.8, 0.7, 0.9))


def test_a_seed_has_its_own_figures_and_none_where_it_has_no_value():
    several = card("kd", {"dice": (0.7, 0.9), "auc": (None, 0.6)}, seeds=2, dice=0.8)
    assert seed_figures(several, 0) == {"dice": 0.7}
    assert seed_figures(several, 1) == {"dice": 0.9, "auc": 0.6}
    assert seed_figures(card("kd", dice=0.8), 0) == {"dice": 0.8}


def test_the_page_escapes_names_asks_no_network_and_leaves_absent_figures_empty():
    page = scorecards_html("<r>", [card("teacher", dice=0.9), card("k&d", auc=0.8)])
    assert "<h1>&lt;r&gt;</h1>" in page
    assert "<th>k&amp;d</th>" in page
    assert page.count("<td></td>") == 2
    assert "0.900<small>[0.800, 1.000] n=9</small>" in page
    assert [word for word in ("http", "<script", "src=") if word in page] == []


def test_the_summary_has_figures_files_and_the_note(tmp_path, recipe):
    cards = (card("teacher", dice=0.9), card("kd", dice=0.8))
    cost = TrainingCost(cpu_seconds=2, wall_seconds=1, energy_wh=0.5, energy_assumption="a")
    models = tuple(SimpleNamespace(cost=one) for one in (cost, None, cost))
    run, note = recipe_summary(local_workspace(tmp_path), SimpleNamespace(recipe=recipe, scorecards=cards, models=models))
    assert (run.name, run.metrics) == (recipe.name, arm_metrics(cards) | (cost + cost).metrics())
    assert total_cost(models)["cost_cpu_seconds"] == 4
    assert total_cost(models[1:2]) == {}
    assert [path.name for path in run.files] == ["scorecards.html", "scorecards.png"]
    assert run.files[0].read_text() == scorecards_html(recipe.name, cards)
    assert run.files[1].read_bytes().startswith(b"\x89PNG")
    assert "`dice`" in note
