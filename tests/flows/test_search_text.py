"""What a search found, in a hundred columns."""

from __future__ import annotations

from data_contracts import Lineage, ModelRef, Role
from flows.search_text import clipped, search_text
from medkd.registry.interface import ListedVersion
from medkd.registry.search_models import FoundModels
from medkd.registry.search_query import parse_query


def listed(name, version=1, *, failed="none", aliases=(), **metrics):
    teacher = Lineage(name=f"{name}-teacher", version=1, manifest_digest="a" * 64)
    model = ModelRef(name=name, version=version, manifest_digest="b" * 64, role=Role.STUDENT, weights_digest="c" * 64, teacher=teacher)
    return ListedVersion(model, {"medkd.failed_explainers": failed}, metrics, aliases)


def test_a_row_a_version_with_the_figures_that_were_asked_about():
    asked = parse_query("metrics.dice>=0.1 and metrics.dice<1 and name~net")
    text = search_text(FoundModels(asked, (listed("net", 12, failed="cam,lime", aliases=("champion",), dice=0.7512), listed("other")), 9))
    head, _, first, second, *_ = text.splitlines()
    assert head.split() == ["version", "role", "alias", "teacher", "failed", "explainers", "dice"]
    assert first.split() == ["net/12", "student", "champion", "net-teacher/1", "cam,", "lime", ".751"]
    assert second.split() == ["other/1", "student", "other-teacher/1"]
    assert text.endswith("2 of 9 registered versions")


def test_a_column_that_says_nothing_is_left_out_and_nothing_found_is_said():
    assert "alias" not in search_text(FoundModels((), (listed("net"),), 1))
    assert search_text(FoundModels((), (), 4)) == "0 of 4 registered versions"


def test_no_line_is_longer_than_a_hundred_columns_whatever_names_are():
    long = "hippocampus-of-a-very-long-recipe-name-with-many-arms-" * 3
    asked = parse_query(f"metrics.{long}>=0")
    found = [listed(long, 123, failed=",".join(["grad_cam_plus_plus"] * 9), aliases=("champion", "candidate", "previous"), **{long: 0.5})]
    text = search_text(FoundModels(asked, tuple(found), 1))
    assert max(map(len, text.splitlines())) <= 100
    assert "/123" in text


def test_what_is_clipped_keeps_its_end():
    assert clipped("short", 5) == "short"
    assert clipped("a-long-name/12", 6) == "…me/12"
