"""The code that a served version needs, as one archive: found by following its imports, the same bytes for the same code."""

from __future__ import annotations

import ast
import functools
import io
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from data_contracts import RegistryError
from medkd.storage.statements import statements

#: Where the code of a served version begins, and what it must not bring along: the Python API, which brings everything.
ROOT_MODULE, LEFT_OUT = "medkd.serving.served_model", frozenset({"medkd.api"})
#: Libraries that no import names: decoders that pydicom finds by themselves, and what MLflow and the model's own file need.
ADDED = ("pylibjpeg", "pylibjpeg-openjpeg", "pylibjpeg-libjpeg", "pylibjpeg-rle", "mlflow", "pandas", "onnxruntime")
#: A served version must run where these are not installed.
FORBIDDEN = frozenset({"torch", "monai", "prefect", "lightning_fabric"})
#: Modules whose library has another name, as far as served versions import them.
_INSTALLED_AS = {"PIL": "pillow", "dicomanonymizer": "dicom_anonymizer", "yaml": "PyYAML"}
_HOME = Path(__file__).parents[2]
_PACKAGES = ("medkd", "data_contracts")
#: An archive's own time is no part of it.
_MOMENT = (2020, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class ServingCode:
    """The code of served versions.

    Attributes:
        archive: bytes of a zip of modules and their templates.
        requirements: libraries that they import, each pinned to what is installed here.
    """

    archive: bytes
    requirements: tuple[str, ...]


@functools.cache
def serving_code() -> ServingCode:
    """Return the code that a served version needs.

    Raises:
        RegistryError: ``FORM_NEEDS_TORCH`` when a module among them imports what a served version must do without.
    """
    modules = _closure()
    foreign: dict[str, str] = {}
    for name, path in modules.items():
        for imported in _imports(path):
            foreign.setdefault(imported.split(".")[0], name)
    heavy = sorted(FORBIDDEN & set(foreign))
    if heavy:
        raise RegistryError(
            "FORM_NEEDS_TORCH", f"expected the code of a served version to do without {heavy[0]}, {foreign[heavy[0]]} imports it"
        )
    names = {name for top in foreign if top not in _PACKAGES and (name := _distribution_of(top)) is not None} | set(ADDED)
    return ServingCode(_archive(modules), tuple(sorted(f"{name}=={metadata.version(name)}" for name in names)))


def _distribution_of(top: str) -> str | None:
    """Return the name under which the library of a module is installed; None of the standard library's, and of what is not installed."""
    if top in sys.stdlib_module_names:
        return None
    try:
        return metadata.distribution(_INSTALLED_AS.get(top, top)).name
    except metadata.PackageNotFoundError:
        # Takes seconds: it reads what every library that is installed here consists of.
        return metadata.packages_distributions().get(top, [None])[0]


def _closure() -> dict[str, Path]:
    """Return every module that the root imports, directly or not, also within functions; by name."""
    found: dict[str, Path] = {}
    waiting = [ROOT_MODULE]
    while waiting:
        name = waiting.pop()
        path = _path_of(name)
        if name in found or name in LEFT_OUT or path is None:
            continue
        found[name] = path
        waiting += [*_imports(path), name.rpartition(".")[0]]
    return dict(sorted(found.items()))


def _path_of(module: str) -> Path | None:
    if module.split(".")[0] not in _PACKAGES:
        return None
    place = _HOME.joinpath(*module.split("."))
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


@functools.cache
def _imports(path: Path) -> tuple[str, ...]:
    """Return the modules that a file names in imports, those for type checkers left out; ``from A import B`` may mean the module A.B."""
    return tuple(dict.fromkeys(_imported(ast.parse(path.read_text(encoding="utf-8")))))


def _imported(node: ast.AST) -> Iterator[str]:
    left_out = {
        id(below)
        for one in statements(node)
        if isinstance(one, ast.If) and "TYPE_CHECKING" in ast.dump(one.test)
        for below in statements(ast.Module(one.body, type_ignores=[]))
    }
    for one in statements(node):
        if id(one) in left_out:
            continue
        if isinstance(one, ast.Import):
            yield from (alias.name for alias in one.names)
        elif isinstance(one, ast.ImportFrom) and one.level == 0 and one.module:
            yield one.module
            yield from (f"{one.module}.{alias.name}" for alias in one.names)


def _archive(modules: dict[str, Path]) -> bytes:
    folders = sorted({path.parent for path in modules.values()})
    templates = [path for folder in folders for path in sorted((folder / "templates").glob("*")) if path.is_file()]
    data = [path for folder in folders for path in sorted(folder.glob("*.yaml"))]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression=zipfile.ZIP_DEFLATED) as packed:
        for path in sorted({*modules.values(), *templates, *data}):
            entry = zipfile.ZipInfo(path.relative_to(_HOME).as_posix(), date_time=_MOMENT)
            packed.writestr(entry, path.read_bytes(), compress_type=zipfile.ZIP_DEFLATED)
    return stream.getvalue()
