"""What the documents show is run: examples of CONTRIBUTING.md keep the properties, files and commands that are named exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import typer

from data_contracts import NetworkSpec
from flows.commands import app
from flows.reference import write_reference
from medkd.attribution.cam import cam
from medkd.knowledge.interface import LiveKnowledge
from medkd.targets import class_logit, class_margin
from medkd.trace import trace

ROOT = Path(__file__).parents[1]


def example(name):
    """Return the function of a python block of CONTRIBUTING.md."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    block = next(b for b in re.findall(r"```python\n(.*?)```", text, re.S) if f"def {name}" in b)
    space = {"__name__": name}
    exec(compile(block, name, "exec"), space)
    return space[name]


@pytest.fixture
def task():
    return "classification"


def test_the_example_of_a_loss_works(make_network, make_sample):
    student, teacher, sample = make_network(0), make_network(1).eval(), make_sample(3)
    loss = example("margin_gap")(trace(student, sample.inputs), LiveKnowledge(teacher, sample.inputs), sample, scale=2.0)
    with torch.no_grad():
        gap = (student(sample.image) - teacher(sample.image)) * 2
    assert float(loss) == pytest.approx(float((gap[:, 1] - gap[:, 0]).square().mean()), rel=1e-4)
    loss.backward()


def test_the_example_of_an_explainer_works(make_network, make_sample):
    network, sample = make_network(0).eval(), make_sample(2)
    attribution = example("squared_gradient")(trace(network, sample.image), class_margin(1))
    assert attribution.shape == (2, 32, 32)


def test_the_example_of_a_measure_works():
    masks = torch.zeros(2, 9, 9, dtype=torch.uint8)
    masks[:, 2:5, 2:5] = 1
    maps = torch.zeros(2, 9, 9)
    maps[0, 3, 3], maps[1, 3, 7] = 1.0, 1.0
    assert example("centre_distance")(maps, masks).tolist() == pytest.approx([0.0, 4.0])


def test_the_example_of_a_network_works(make_sample):
    network = example("plain_cnn")(NetworkSpec(builder="plain_cnn", out_channels=3), width=4).eval()
    kept = trace(network, make_sample(2).inputs, layers=(network.layer_map.cam_layer,))
    torch.testing.assert_close(cam(kept, class_logit(1)).flatten(1).mean(1) * 32 * 32, kept.logits[:, 1].detach(), atol=1e-5, rtol=1e-4)


def test_every_example_is_run():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.S)
    assert len([block for block in blocks if "def " in block]) == 4


def test_the_reference_is_the_code_as_it_stands(tmp_path):
    """When this fails: `make reference`."""
    for page in write_reference(tmp_path):
        assert page.read_text() == (ROOT / "docs" / "reference" / page.name).read_text(), page.name


def test_files_that_are_named_exist():
    documents = ("README.md", "docs/results.md", "CONTRIBUTING.md", "medkd/README.md", "flows/README.md", "data_contracts/README.md")
    for document in (
        *documents,
        "docs/tutorial.md",
        "docs/explanations.md",
        "docs/network.md",
        "medkd/network/README.md",
        "medkd/distillation/README.md",
        "medkd/attribution/README.md",
        "medkd/explanation/README.md",
        "mlflow_server/README.md",
        "medkd/loss_check/README.md",
        "medkd/audit/README.md",
        "medkd/experiment/README.md",
        "medkd/foreign/README.md",
        "medkd/knowledge/README.md",
        "medkd/synthesis/README.md",
        "medkd/training/README.md",
    ):
        text = (ROOT / document).read_text(encoding="utf-8")
        named = set(re.findall(r"\b((?:medkd|flows|tests|docs|data_contracts|mlflow_server)/[\w/.-]+\.(?:py|yaml|png|md))\b", text))
        invented = {
            "medkd/distillation/margin_gap.py",
            "medkd/attribution/squared_gradient.py",
            "medkd/measures/centre_distance.py",
            "medkd/models/plain_cnn.py",
            "tests/distillation/test_margin_gap.py",
        }
        assert not [name for name in named - invented if not (ROOT / name).is_file()], document


#: Heads of the first column of tables that say what each module of a package does.
MODULE_COLUMNS = ("file", "module")
#: Packages whose table names every module.
WHOLE_TABLES = ("audit", "experiment", "network", "serving")


def module_rows(readme):
    """Yield the first cell and the whole row of each line of the tables of modules."""
    lines, inside = readme.read_text(encoding="utf-8").splitlines(), False
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        cells = [cell.strip() for cell in line.split("|")]
        if line.startswith("|") and re.fullmatch(r"\|[-|: ]+\|", following):
            inside = cells[1] in MODULE_COLUMNS
        elif not line.startswith("|"):
            inside = False
        elif inside and not re.fullmatch(r"\|[-|: ]+\|", line):
            yield cells[1], line


READMES = sorted((ROOT / "medkd").glob("*/README.md"))


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.parent.name)
def test_modules_in_tables_exist(readme):
    missing = []
    for cell, _ in module_rows(readme):
        names = re.findall(r"`([^`]+)`", cell)
        # A cell may name a folder and what lies in it.
        folders = [readme.parent, *(readme.parent / name for name in names if name.endswith("/"))]
        places = {
            name: [folder.glob(place) for folder in folders for place in (name.replace("NAME", "*"), f"{name}.py")]
            for name in names
            if "../" not in name
        }
        missing += [name for name, found in places.items() if not any(any(one) for one in found)]
    assert not missing, f"{readme.relative_to(ROOT)} names {missing}"


@pytest.mark.parametrize("package", WHOLE_TABLES)
def test_tables_name_every_module(package):
    rows = " ".join(row for _, row in module_rows(ROOT / "medkd" / package / "README.md"))
    modules = {path.stem for path in (ROOT / "medkd" / package).glob("*.py") if not path.stem.startswith("_")}
    assert not modules - set(re.findall(r"`(\w+)`", rows))


def test_commands_that_are_named_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8") + "".join(
        (ROOT / name).read_text(encoding="utf-8")
        for name in (
            "CONTRIBUTING.md",
            "docs/tutorial.md",
            "docs/results.md",
            "flows/README.md",
            "mlflow_server/README.md",
        )
    )
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"`make ([a-z-]+)", text)):
        assert re.search(rf"^{target}:", makefile, re.M), target
    named = set(re.findall(r"(?:^|`)medkd ([a-z][a-z-]*)", text, re.M)) - {"takes"}
    assert {"demo", "explain-study", "run-study"} <= named
    assert named <= set(typer.main.get_command(app).commands)
