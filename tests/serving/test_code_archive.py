"""What goes with a served version: all that its code imports, without torch, the same bytes each time."""

from __future__ import annotations

import io
import re
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from data_contracts import RegistryError
from medkd.serving import code_archive
from medkd.serving.code_archive import ADDED, FORBIDDEN, LEFT_OUT, ROOT_MODULE, serving_code


def names():
    with zipfile.ZipFile(io.BytesIO(serving_code().archive)) as packed:
        return packed.namelist()


def test_the_bytes_are_the_same_each_time_and_carry_no_time_of_their_own():
    archive = serving_code().archive
    assert code_archive._archive(code_archive._closure()) == archive
    with zipfile.ZipFile(io.BytesIO(archive)) as packed:
        assert {entry.date_time for entry in packed.infolist()} == {(2020, 1, 1, 0, 0, 0)}
        assert packed.namelist() == sorted(packed.namelist(), key=Path)


def test_every_file_is_the_projects_own_as_it_stands():
    home = Path(code_archive.__file__).parents[2]
    with zipfile.ZipFile(io.BytesIO(serving_code().archive)) as packed:
        for name in packed.namelist():
            assert packed.read(name) == (home / name).read_bytes()
    assert {name.split("/")[0] for name in names()} == {"medkd", "data_contracts"}


def test_it_holds_where_the_code_begins_its_packages_and_templates_and_not_what_is_left_out():
    held = set(names())
    for name in (
        ROOT_MODULE.replace(".", "/") + ".py",
        "medkd/__init__.py",
        "medkd/serving/templates/served.html",
        "data_contracts/task.py",
    ):
        assert name in held
    assert "medkd/serving/export_onnx.py" not in held
    assert not {module.replace(".", "/") + ".py" for module in LEFT_OUT} & held


def test_whatever_a_module_of_ours_imports_is_there_too():
    """By the lines at the left margin of each file, which no type checker's are."""
    held = set(names())
    with zipfile.ZipFile(io.BytesIO(serving_code().archive)) as packed:
        for name in (one for one in held if one.endswith(".py")):
            for module in re.findall(r"^from ((?:medkd|data_contracts)[\w.]*) import", packed.read(name).decode(), flags=re.MULTILINE):
                place = module.replace(".", "/")
                assert {f"{place}.py", f"{place}/__init__.py"} & held, f"{name} imports {module}"


def test_every_requirement_is_pinned_to_what_is_installed():
    lines = serving_code().requirements
    assert list(lines) == sorted(set(lines))
    requirements = [Requirement(line) for line in lines]
    for one in requirements:
        assert str(one.specifier) == f"=={metadata.version(one.name)}"
    listed = {one.name.lower() for one in requirements}
    assert len(listed) == len(lines)
    assert set(ADDED) | {"pydicom", "numpy", "pydantic", "highdicom", "scipy"} <= listed
    assert not FORBIDDEN & listed


@pytest.mark.parametrize("line", ["import torch", "from torch import nn", "def f():\n    import monai.data", "import prefect as p"])
def test_a_module_that_needs_what_a_served_version_lacks_is_refused_and_named(monkeypatch, tmp_path, line):
    (tmp_path / "heavy.py").write_text(line)
    monkeypatch.setattr(code_archive, "_closure", lambda: {"medkd.heavy": tmp_path / "heavy.py"})
    with pytest.raises(RegistryError, match=r"medkd\.heavy imports it") as caught:
        serving_code.__wrapped__()
    assert caught.value.code == "FORM_NEEDS_TORCH"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import a.b, c", {"a.b", "c"}),
        ("from a import b", {"a", "a.b"}),
        ("class X:\n    def f(self):\n        try:\n            import a\n        except ImportError:\n            import b", {"a", "b"}),
        ("if TYPE_CHECKING:\n    import torch\nelse:\n    import a", {"a"}),
        ("import typing\nif typing.TYPE_CHECKING:\n    from torch import Tensor", {"typing"}),
        ("from . import a", set()),
    ],
)
def test_imports_are_found_wherever_they_stand_but_for_type_checkers(tmp_path, text, found):
    (tmp_path / "x.py").write_text(text)
    assert set(code_archive._imports(tmp_path / "x.py")) == found
