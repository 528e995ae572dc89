from __future__ import annotations

from types import SimpleNamespace

from data_contracts import Role
from flows import explain_candidate
from flows.explain_candidate import candidates_of, explain_candidates
from tests.flows.recording import golden_recipe


def version(name, number, role=Role.STUDENT):
    return SimpleNamespace(name=name, version=number, role=role, uri=f"models:/{name}/{number}")


MODELS = {
    "r-kd": ([1, 2], {"candidate": 2}),
    "r-alone": ([1], {}),
    "rest-kd": ([1], {"candidate": 1}),
    "r-teacher": ([1], {"candidate": 1}),
}


class Registry:
    """Names with their versions and candidates."""

    def names(self):
        return sorted(MODELS)

    def aliases(self, name):
        return MODELS[name][1]

    def versions(self, name):
        role = Role.TEACHER if name.endswith("teacher") else Role.STUDENT
        return [version(name, number, role) for number in MODELS[name][0]]


def test_candidates_are_students_of_the_recipe_that_the_alias_stands_at():
    assert [one.uri for one in candidates_of(Registry(), golden_recipe("r"))] == ["models:/r-kd/2"]
    assert candidates_of(Registry(), golden_recipe("other")) == []


def test_each_candidate_of_each_recipe_is_explained(monkeypatch):
    asked = []
    monkeypatch.setattr(explain_candidate, "open_registry", lambda _: Registry())
    monkeypatch.setattr(
        explain_candidate, "explain_model", lambda _, recipe, uri, tracking: asked.append((recipe.name, uri, tracking)) or "b"
    )
    workspace = SimpleNamespace(tracking_uri="sqlite:///here.db")
    assert explain_candidates(workspace, (golden_recipe("r"), golden_recipe("rest"))) == ("b", "b")
    assert asked == [("r", "models:/r-kd/2", "sqlite:///here.db"), ("rest", "models:/rest-kd/1", "sqlite:///here.db")]
