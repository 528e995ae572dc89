"""What the administrator's page and the compose file say is so."""

from __future__ import annotations

import importlib.metadata
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer
import yaml

from mlflow_server.cli import app
from mlflow_server.environment import _FIXED

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "mlflow_server"
README = (FOLDER / "README.md").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
COMMANDS = typer.main.get_command(app).commands


@pytest.mark.parametrize("line", re.findall(r"medkd server ([^`\n]+)", README))
def test_commands_and_options_of_the_page_exist(line):
    name, *words = shlex.split(line.split(" && ")[0])
    if name in ("and", "serve`"):
        return
    known = {option for parameter in COMMANDS[name].params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert not [word for word in words if word.startswith("--") and word not in known]


def test_every_command_is_on_the_page():
    assert not [name for name in COMMANDS if f"medkd server {name}" not in README]


def test_every_code_of_preflight_is_on_the_page():
    source = "".join((FOLDER / name).read_text(encoding="utf-8") for name in ("preflight.py", "environment.py", "running.py"))
    codes = {*re.findall(r"Problem\(\s*\"([A-Z_]+)\"", source), *(code for *_, code, _ in _FIXED)}
    assert len(codes) > 20
    assert not sorted(code for code in codes if f"`{code}`" not in README)


def test_images_are_pinned_to_one_release():
    images = [service["image"] for service in COMPOSE["services"].values() if "image" in service]
    images += re.findall(r"^FROM (\S+)", COMPOSE["services"]["server"]["build"]["dockerfile_inline"], re.M)
    assert len(images) == 4
    for image in images:
        assert re.search(r":(RELEASE\.\d{4}-\d\d-\d\dT[\d-]+Z|\d+\.\d+(\.\d+)?-[\w-]+)$", image), image


def test_no_password_is_in_the_compose_file():
    for name, service in COMPOSE["services"].items():
        for variable, value in service.get("environment", {}).items():
            if re.search("PASSWORD|USER_FILE|SECRET|CREDENTIALS|PGPASS", variable):
                assert str(value).startswith("/run/secrets/"), (name, variable)
    used = {secret for service in COMPOSE["services"].values() for secret in service.get("secrets", ())}
    assert used == set(COMPOSE["secrets"])
    assert all(set(secret) == {"file"} and secret["file"].startswith("./secrets/") for secret in COMPOSE["secrets"].values())
    assert "/mlflow_server/secrets/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_secrets_of_the_compose_file_are_made_by_the_page():
    made = set(re.findall(r"> ([\w-]+)$", README.split("### PostgreSQL and S3 in containers")[1].split("###")[0], re.M))
    assert made == set(COMPOSE["secrets"])


def test_only_the_server_is_reached_and_only_from_this_machine():
    ports = {name: service["ports"] for name, service in COMPOSE["services"].items() if "ports" in service}
    assert ports == {"server": ["127.0.0.1:5000:5000"]}
    assert COMPOSE["networks"]["inside"] == {"internal": True}


def test_the_server_in_the_container_is_started_by_options_that_exist():
    python, module, package, name, *options = COMPOSE["services"]["server"]["command"]
    assert (python, module, package) == ("python", "-m", "mlflow_server")
    known = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert {option.split("=")[0] for option in options} <= known


def test_the_image_has_what_the_project_pins():
    image = COMPOSE["services"]["server"]["build"]["dockerfile_inline"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    pinned = {*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["server"]}
    installed = re.findall(r'"([^"]+)"', next(line for line in image.splitlines() if "mlflow[auth]" in line))
    assert len(installed) == 5
    assert set(installed) <= pinned
    inner = tomllib.loads(image.split("<<EOF /opt/medkd/pyproject.toml\n")[1].split("\nEOF")[0])
    assert inner["project"]["entry-points"]["mlflow.app"] == project["project"]["entry-points"]["mlflow.app"]


def test_mlflow_finds_the_application():
    (found,) = importlib.metadata.entry_points(group="mlflow.app", name="medkd-secured")
    assert found.value == "mlflow_server.secured_app:create_app"
