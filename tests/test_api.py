"""The Python API: its page and every example of its docstrings are run, and importing it is light."""

from __future__ import annotations

import ast
import doctest
import inspect
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import medkd

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "python_api.md"
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
#: In the page three dots are typeset as one sign, which no prompt of a continued line is mistaken for.
ANYTHING = "…"


def run(text: str, name: str, space: dict) -> doctest.TestResults:
    """Run the examples of a text in a namespace, which keeps what they define."""
    test = doctest.DocTestParser().get_doctest(text.replace("```", "").replace(ANYTHING, "..."), space, name, name, 0)
    test.globs = space
    said: list[str] = []
    result = doctest.DocTestRunner(optionflags=OPTIONS).run(test, clear_globs=False, out=said.append)
    assert result.failed == 0, "".join(said)
    return result


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """Run the page in a folder of its own; return what it leaves."""
    patch, found = pytest.MonkeyPatch(), {}
    patch.chdir(tmp_path_factory.mktemp("notebook"))
    assert run(PAGE.read_text(encoding="utf-8"), PAGE.name, found).attempted > 25
    yield found
    patch.undo()


@pytest.mark.extended
def test_the_page_is_run(space):
    assert space["result"].registered is not None


def documented():
    """Return what the API has with examples: functions, and methods of the model."""
    from medkd import api

    things = {name: getattr(api, name) for name in api.__all__} | {"Model.predict": api.Model.predict, "Model.explain": api.Model.explain}
    return {name: thing for name, thing in things.items() if ">>>" in (thing.__doc__ or "") and not inspect.isclass(thing)}


@pytest.mark.extended
@pytest.mark.parametrize("name", documented())
def test_the_examples_of_the_docstrings_are_run(space, name):
    assert run(inspect.getdoc(documented()[name]), name, dict(space)).attempted


def test_what_does_the_work_has_an_example():
    assert {
        "ingest",
        "distill",
        "load",
        "evaluate",
        "Model.predict",
        "Model.explain",
        "entries",
        "write_phantom",
        "search_models",
        "promote",
        "rollback",
    } <= set(documented())


def test_importing_it_is_light_and_its_names_are_found():
    code = (
        "import sys, medkd\n"
        "heavy = {'torch', 'numpy', 'monai', 'mlflow', 'pydicom', 'pydantic', 'prefect'}\n"
        "print(sorted(heavy & set(sys.modules)), set(medkd.__all__) <= set(dir(medkd)))\n"
        "medkd.distill\n"
        "print('torch' in sys.modules, sorted({'prefect', 'flows', 'mlflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines() == ["[] True", "True []"]


def test_there_are_few_names_with_types_and_words():
    from medkd import api

    assert set(medkd.__all__) - {"__version__"} == set(api.__all__)
    assert len(api.__all__) <= 18
    for name in api.__all__:
        thing = getattr(medkd, name)
        assert inspect.getdoc(thing), name
        if inspect.isfunction(thing):
            signature = inspect.signature(thing)
            assert signature.return_annotation is not inspect.Signature.empty
            assert all(parameter.annotation is not inspect.Parameter.empty for parameter in signature.parameters.values()), name


def test_a_name_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(AttributeError, match=r"'train'; it has .*distill"):
        _ = medkd.train


def test_types_are_told_to_checkers_for_every_name():
    tree = ast.parse((ROOT / "medkd" / "__init__.py").read_text(encoding="utf-8"))
    imported = {
        alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "medkd.api" for alias in node.names
    }
    assert imported == set(medkd.__all__) - {"__version__"}


def test_every_step_of_the_flows_is_one_of_its_own():
    """A step that was added to the chain under Prefect alone would make the same recipe another thing here."""
    steps = {
        alias.name
        for path in (ROOT / "flows").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("medkd.recipe_calls.")
        for alias in node.names
        if alias.name.endswith(("_call", "_calls"))
    }
    assert len(steps) > 12
    own = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "medkd" / "api").glob("*.py"))
    # Knowledge of teachers that no arm asks is extracted for other sites, by a command of its own.
    assert {step for step in steps if f"{step}(" not in own} == {"every_knowledge_call"}


@pytest.mark.extended
def test_what_it_writes_is_its_owners_only(space):
    del space
    written = [path for place in ("store", "runs", "explained", "scored") for path in Path(place).rglob("*")]
    assert len(written) > 50
    assert not [path for path in written if stat.S_IMODE(path.stat().st_mode) & 0o077]
