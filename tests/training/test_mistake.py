from __future__ import annotations

import pytest

from data_contracts import CatalogueError, RecipeError
from medkd.training.mistake import Mistake, Source, attempt, raise_first

PLACE = ("arms", "kd", "terms", 0, "loss")
WRONG = RecipeError("RECIPE_NEEDS", "expected more")
SOURCE = Source("r.yaml", {("arms",): 3, ("arms", "kd", "terms", 0): 7}, ("seeds", "arms.kd.terms.1"))


def test_a_mistake_is_called_by_its_dotted_field():
    assert Mistake(PLACE, WRONG).field == "arms.kd.terms.0.loss"
    assert Mistake((), WRONG).field == ""


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (PLACE, 7),
        (("arms", "kd", "terms", 0), 7),
        (("arms", "kd", "unlabelled"), 3),
        (("task",), None),
        ((), None),
        (("arms", "kd", "terms", 1, "loss"), None),
    ],
)
def test_the_nearest_value_that_is_in_the_file_has_the_line(place, line):
    assert SOURCE.line(place) == line


@pytest.mark.parametrize(
    ("place", "set_beside"),
    [
        (("seeds",), True),
        (("seeds", 0), True),
        (("seedsmore",), False),
        (("arms", "kd", "terms", 10), False),
        (("arms", "kd", "terms", 1, "loss"), True),
    ],
)
def test_what_was_set_beside_the_file_is_known_by_its_whole_name(place, set_beside):
    assert SOURCE.is_override(place) is set_beside


@pytest.mark.parametrize(
    ("place", "said"),
    [(PLACE, "r.yaml:7 arms.kd.terms.0.loss"), (("task",), "r.yaml task"), (("seeds", 0), "--set seeds.0"), ((), "r.yaml")],
)
def test_a_place_is_said_as_editors_link_it(place, said):
    assert SOURCE.where(Mistake(place, WRONG)) == said


def test_a_check_that_raises_is_a_mistake_and_one_that_breaks_is_a_fault():
    def refuse():
        raise WRONG

    assert list(attempt(PLACE, refuse)) == [Mistake(PLACE, WRONG)]
    assert list(attempt(PLACE, lambda: None)) == []
    with pytest.raises(ZeroDivisionError):
        list(attempt(PLACE, lambda: 1 / 0))


def test_the_first_mistake_is_raised_in_its_kind_with_the_number_of_the_others():
    raise_first([], SOURCE)
    unknown = Mistake(PLACE, CatalogueError("CATALOGUE_UNKNOWN", "expected a loss"))
    for more, said in (([], r"loss\)$"), ([unknown], "and 1 more mistake: "), ([unknown] * 2, "and 2 more mistakes: ")):
        with pytest.raises(CatalogueError, match=said) as caught:
            raise_first([unknown, *more], SOURCE)
        assert caught.value.code == "CATALOGUE_UNKNOWN"
        assert str(caught.value).startswith("expected a loss (r.yaml:7 arms.kd.terms.0.loss)")
