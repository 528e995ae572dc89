"""All versions are asked for page by page."""

from __future__ import annotations

from types import SimpleNamespace

from medkd.registry.mlflow_contents import ATTACHED
from medkd.registry.mlflow_listing import aliases_by_version, all_versions, figures_by_model, figures_of, plain_tags
from medkd.registry.mlflow_model import MODEL_TAG


class Page(list):
    """A list with the token of the next page."""

    token: str | None = None


def paged(*pages):
    """Return a function that gives pages by their token, and notes with what it was called."""
    calls = []

    def ask(*arguments, page_token=None, **_):
        calls.append(arguments)
        number = int(page_token or 0)
        page = Page(pages[number])
        page.token = str(number + 1) if number + 1 < len(pages) else None
        return page

    ask.calls = calls
    return ask


def test_versions_of_every_page_are_returned():
    assert all_versions(SimpleNamespace(search_model_versions=paged("ab", "c"))) == ["a", "b", "c"]


def test_aliases_are_asked_of_each_name_once():
    models = {"net": {"champion": "2", "candidate": "2", "previous": "1"}, "other": {}}
    client = SimpleNamespace(get_registered_model=lambda name: SimpleNamespace(aliases=models[name]))
    assert aliases_by_version(client, {"net", "other"}) == {("net", 2): ("candidate", "champion"), ("net", 1): ("previous",)}


def model(name, **figures):
    return SimpleNamespace(model_id=name, metrics=[SimpleNamespace(key=key, value=value) for key, value in figures.items()] or None)


def test_figures_come_from_the_logged_models_of_all_experiments_some_at_a_time():
    experiments = [SimpleNamespace(experiment_id=str(number)) for number in range(120)]
    search = paged([model("a", dice=0.5)], [model("b")])
    client = SimpleNamespace(search_experiments=paged(experiments[:70], experiments[70:]), search_logged_models=search)
    assert figures_by_model(client) == {"a": {"dice": 0.5}, "b": {}}
    asked = [arguments[0] for arguments in search.calls]
    assert {one for some in asked for one in some} == {one.experiment_id for one in experiments}
    assert max(map(len, asked)) <= 50


def test_a_version_from_before_logged_models_has_the_figures_of_its_run():
    client = SimpleNamespace(get_run=lambda run_id: SimpleNamespace(data=SimpleNamespace(metrics={"auc": 0.7} if run_id == "r" else {})))
    old, new = SimpleNamespace(tags={}, run_id="r"), SimpleNamespace(tags={MODEL_TAG: "m"}, run_id="r")
    assert figures_of(client, old, {}) == {"auc": 0.7}
    assert figures_of(client, new, {"m": {"dice": 0.5}}) == {"dice": 0.5}
    assert figures_of(client, new, {}) == {}


def test_digests_of_attached_files_are_no_tags_to_search():
    assert plain_tags(SimpleNamespace(tags={"b": "2", "a": "1", f"{ATTACHED}reports": "x"})) == {"a": "1", "b": "2"}
