"""The layout of the packages: who may import whom."""

from __future__ import annotations

import ast
import functools
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

# One process: each would parse every file anew.
pytestmark = pytest.mark.xdist_group("architecture")
ROOT = Path(__file__).parents[1]
#: The packages and single files of medkd: each may import those before it and none after it.
ORDER = (
    "types",
    "task_context",
    "seeds",
    "progress",
    "wording",
    "precision",
    "memory_need",
    "allocator",
    "yaml_text",
    "catalogue",
    "storage",
    "pictures",
    "trace",
    "targets",
    "measures",
    "models",
    "attribution",
    "phantom",
    "volumes",
    "dicom",
    "cohorts",
    "inference",
    "serving",
    "knowledge",
    "synthesis",
    "registry",
    "foreign",
    "lineage",
    "released",
    "distillation",
    "loss_check",
    "evaluation",
    "audit",
    "training",
    "explanation",
    "promotion",
    "compression",
    "planning",
    "recipe_calls",
    "experiment",
    "review",
    "drift",
    "results",
    "feedback",
    "review_server",
    "network",
    "api",
)
PACKAGES = ("data_contracts", "medkd", "flows", "mlflow_server")


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module}
    return found


def files_of(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def tops(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports_of(path)}


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [("data_contracts", {"medkd", "flows"}), ("medkd", {"flows"}), ("mlflow_server", {"medkd", "flows", "data_contracts"})],
)
def test_rooms_depend_in_one_direction(package, forbidden):
    assert not {path.name: tops(path) & forbidden for path in files_of(package) if tops(path) & forbidden}


def test_contracts_need_pydantic_and_nothing_else():
    foreign = {name for path in files_of("data_contracts") for name in tops(path)} - set(sys.stdlib_module_names) - {"data_contracts"}
    assert foreign == {"pydantic"}


def test_only_flows_imports_prefect():
    assert not [path for package in ("data_contracts", "medkd", "mlflow_server") for path in files_of(package) if "prefect" in tops(path)]
    assert [path.name for path in files_of("flows") if "prefect" in tops(path)] == [
        "deployed.py",
        "deployments.py",
        "gpu_limit.py",
        "notify.py",
        "orchestration.py",
        "prefect_artifacts.py",
        "prefect_engine.py",
        "prefect_history.py",
        "prefect_server.py",
        "reconcile.py",
        "start.py",
        "status.py",
        "task_runners.py",
        "work.py",
    ]


def test_the_registry_alone_imports_mlflow_and_the_code_that_mlflow_executes():
    importing = [path.name for package in ("data_contracts", "medkd", "flows") for path in files_of(package) if "mlflow" in tops(path)]
    of_registry = ["assessments", "contents", "database", "listing", "model", "purge", "registration", "registry", "runs"]
    assert importing == [*(f"mlflow_{name}.py" for name in of_registry), "predict.py"]


def test_the_network_alone_imports_the_libraries_that_speak_with_archives():
    spoken = {"pynetdicom", "dicomweb_client"}
    importing = [path for package in PACKAGES for path in files_of(package) if tops(path) & spoken]
    assert importing
    assert {path.parent.relative_to(ROOT).as_posix() for path in importing} == {"medkd/network"}


def test_mlflows_server_imports_one_file_of_its_own():
    assert [path.name for path in files_of("mlflow_server") if "mlflow" in tops(path)] == ["secured_app.py"]


def test_what_is_served_needs_no_torch():
    from medkd.serving.code_archive import FORBIDDEN, _closure, _imports

    modules = _closure()
    assert "medkd.dicom.ingest" in modules
    assert not {name for name, path in modules.items() if FORBIDDEN & {one.split(".")[0] for one in _imports(path)}}


def test_flows_do_no_arithmetic_on_tensors():
    assert not [path.name for path in files_of("flows") if tops(path) & {"torch", "numpy"} and path.name != "workers.py"]


def test_pages_are_made_of_explanations_and_ask_no_network():
    """What makes a map, or a network's answer, is not within reach of what composes and renders."""
    makers = ("attribution", "catalogue", "inference", "measures", "models", "targets", "trace")
    found = {(path.name, name) for path in files_of("medkd/review") for name in imports_of(path) if name.startswith("medkd.")}
    # Sentences of figures, and distances between features that were kept: neither asks a network.
    words = {"medkd.inference.calibration_text", "medkd.inference.nearest_cases"}
    assert not sorted(one for one in found if one[1].split(".")[1] in makers and one[1] not in words)
    making = {f"medkd.explanation.{name}" for name in ("explain_study", "explain_lesions", "explain_classes", "explain_panel", "describe")}
    assert not sorted(one for one in found if one[1] in making)


def test_losses_may_import_explainers_and_never_the_reverse():
    assert not [path for path in files_of("medkd/attribution") if any("distillation" in name for name in imports_of(path))]
    assert [path for path in files_of("medkd/distillation") if any("attribution" in name for name in imports_of(path))]


def package_of(module: str) -> str:
    """Return the package of medkd that a module belongs to; a file beside the packages stands for itself."""
    return module.split(".")[1]


def arrows() -> set[tuple[str, str, str]]:
    """Return (importing package, imported package, importing file) of every import inside medkd."""
    found = set()
    for path in files_of("medkd"):
        if path == ROOT / "medkd" / "__init__.py":
            continue
        importing = path.relative_to(ROOT / "medkd").parts[0].removesuffix(".py")
        for name in imports_of(path):
            if name.startswith("medkd.") and package_of(name) != importing:
                found.add((importing, package_of(name), path.name))
    return found


def test_packages_import_only_those_before_them():
    places = {name: place for place, name in enumerate(ORDER)}
    assert not sorted(arrow for arrow in arrows() if places[arrow[1]] >= places[arrow[0]])


def test_every_package_has_its_place_in_the_order():
    present = {path.relative_to(ROOT / "medkd").parts[0].removesuffix(".py") for path in files_of("medkd")} - {"__init__"}
    assert sorted(ORDER) == sorted(present)


def test_the_readme_lists_the_packages_in_that_order():
    rows = re.findall(r"^\| (`[^|]+`) \|", (ROOT / "medkd" / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert tuple(name for row in rows for name in re.findall(r"`(\w+)`", row)) == ORDER


def test_no_module_stands_beside_a_package_of_its_name():
    """Python would take the package, and a reader the module."""
    assert not [str(path) for package in PACKAGES for path in files_of(package) if path.with_suffix("").is_dir()]


def test_no_two_files_import_each_other():
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for package in PACKAGES for path in files_of(package)}
    known = {name: {i for i in imports_of(path) if i in modules and i != name} for name, path in modules.items()}
    try:
        graphlib.TopologicalSorter(known).prepare()
        ring = []
    except graphlib.CycleError as error:
        ring = error.args[1]
    assert ring == []


def test_forward_hooks_are_registered_in_one_place():
    assert [p.name for p in files_of("medkd") if "register_forward_hook" in p.read_text(encoding="utf-8")] == ["trace.py"]


def test_an_ingestion_starts_without_torch():
    code = "import sys, medkd.dicom.ingest; print(sorted({'torch', 'monai', 'sklearn'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_importing_the_contracts_pulls_in_neither_torch_nor_numpy():
    code = "import sys, data_contracts; print(sorted({'torch', 'numpy', 'monai', 'mlflow', 'prefect'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_top_level_is_the_fixed_one():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    folders = {line.split("/")[0] for line in listed.stdout.splitlines() if "/" in line}
    assert folders <= {"flows", "medkd", "data_contracts", "tests", "mlflow_server", "docs", ".ci"}


def test_flow_bodies_are_short():
    for path in files_of("flows"):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef) and any(isinstance(d, ast.Name) and d.id == "flow" for d in node.decorator_list):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                assert body[-1].end_lineno - body[0].lineno + 1 <= 25, f"{path.name}: {node.name}"


#: Packages of medkd whose tests are still called after what is read, written or refused, and not after modules.
CALLED_OTHERWISE = ()
#: Public modules without a test of their name → why.
WITHOUT_A_TEST: dict[str, str] = {}


def places_of_tests(path: Path) -> list[Path]:
    """Return where the tests of a module may lie: by its name in the folder of its package, or of the package above it."""
    package, *folders = path.relative_to(ROOT).with_suffix("").parts[:-1]
    if package == "flows":
        return [ROOT / "tests" / "flows" / f"test_{path.stem}{end}.py" for end in ("", "_commands")[: 1 + ("commands" in folders)]]
    above = ["contracts"] if package == "data_contracts" else folders
    return [Path(ROOT / "tests", *above[:depth], f"test_{path.stem}.py") for depth in range(len(above), min(len(above), 1) - 1, -1)]


def test_every_public_module_has_a_test_file_of_its_name():
    """A reader of a module finds what is asked of it by its name; how it is called is said in CONTRIBUTING.md."""
    public = [
        path
        for package in ("data_contracts", "medkd", "flows")
        for path in files_of(package)
        if not any(part.startswith("_") for part in path.relative_to(ROOT).with_suffix("").parts)
    ]
    untested = {str(path.relative_to(ROOT)) for path in public if not any(place.is_file() for place in places_of_tests(path))}
    left_out = {name for name in untested if name.split("/")[:2] in [["medkd", package] for package in CALLED_OTHERWISE]}
    assert len(public) > 300
    assert sorted(untested - left_out) == sorted(WITHOUT_A_TEST)


@pytest.mark.parametrize(
    ("module", "tests"),
    [
        ("data_contracts/task.py", ["contracts/test_task.py"]),
        ("medkd/seeds.py", ["test_seeds.py"]),
        ("medkd/storage/store.py", ["storage/test_store.py"]),
        ("medkd/dicom/labels/bind.py", ["dicom/labels/test_bind.py", "dicom/test_bind.py"]),
        ("flows/each.py", ["flows/test_each.py"]),
        ("flows/commands/data.py", ["flows/test_data.py", "flows/test_data_commands.py"]),
    ],
)
def test_where_the_tests_of_a_module_lie(module, tests):
    assert [str(path.relative_to(ROOT / "tests")) for path in places_of_tests(ROOT / module)] == tests


def raised(path: Path) -> list[tuple[ast.Raise, ast.Call]]:
    """Return the errors that a file raises anew."""
    found = [(node, node.exc) for node in ast.walk(parsed(path)) if isinstance(node, ast.Raise)]
    names = ("Error", "Refused", "Problem")
    return [(node, call) for node, call in found if isinstance(call, ast.Call) and ast.unparse(call.func).endswith(names)]


def shows_what_came(call: ast.Call) -> bool:
    """Return whether an error is given anything but fixed text: a value in its sentence, or evidence."""
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    fixed = [argument for argument in given if ast.unparse(argument).startswith(("IngestCode.", "_C."))]
    inside = [node for argument in given if argument not in fixed for node in ast.walk(argument)]
    return any(isinstance(node, ast.Name | ast.FormattedValue) for node in inside)


def test_errors_show_what_came():
    """What was expected is half of a sentence: who reads it wants to see what there was."""
    errors = [(path, node, call) for package in PACKAGES for path in files_of(package) for node, call in raised(path)]
    silent = [f"{path.relative_to(ROOT)}:{node.lineno}" for path, node, call in errors if not shows_what_came(call)]
    assert len(errors) > 300
    assert len(silent) <= 0.05 * len(errors), silent


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('DataError("CODE", "expected a number, got none")', False),
        ('IngestError(IngestCode.NO_PIXEL_DATA, "expected pixels")', False),
        ('IngestError(IngestCode.NO_PIXEL_DATA, "expected pixels", {"frames": 3})', False),
        ('DataError("CODE", f"expected a number, got {value!r}")', True),
        ('IngestError(IngestCode.NO_PIXEL_DATA, "expected pixels", {"frames": frames})', True),
        ('DataError("CODE", sentence)', True),
    ],
)
def test_what_counts_as_showing(text, shown):
    assert shows_what_came(ast.parse(text, mode="eval").body) is shown


def test_nothing_lies_at_the_top_but_the_packages_and_the_usual_files() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("no checkout of git: only what is committed counts")
    tops = {name.split("/")[0] for name in tracked.stdout.splitlines()}
    usual = {
        "README.md",
        "Makefile",
        "CHANGELOG.md",
        "LICENSE",
        "CONTRIBUTING.md",
        "NOTICE",
        "pyproject.toml",
        ".gitignore",
        ".ci",
        ".github",
    }
    assert tops <= usual | set(PACKAGES) | {"tests", "docs"}


def test_what_is_extended_for_its_time_is_there():
    lines = (ROOT / "tests" / "extended.txt").read_text(encoding="utf-8").splitlines()
    assert lines == sorted(set(lines))
    gone = [
        line
        for line in lines
        if f"def {line.split('::')[1].split(' one in ')[0].split('[')[0]}(" not in (ROOT / line.split("::")[0]).read_text(encoding="utf-8")
    ]
    assert not gone
