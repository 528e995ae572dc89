"""Records of options that several commands take: what is made of them."""

from __future__ import annotations

import os
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
import typer

from data_contracts import RecipeError, RegistryError
from flows.commands import app, options
from flows.commands.common import command
from flows.commands.options import ClusterOptions, FolderOptions, ReceivingRegistryOptions, RegistryOptions, RunOptions
from medkd.cohorts.external_dataset import FolderHints

RECORDS = [one for one in vars(options).values() if is_dataclass(one)]


def test_there_are_records_each_of_options_that_belong_together():
    assert len(RECORDS) >= 7
    assert all(2 <= len(fields(one)) <= 7 for one in RECORDS)


@pytest.mark.parametrize("record", RECORDS)
def test_every_option_of_a_record_is_described(record):
    def only(given) -> None: ...

    only.__annotations__ = {"given": record}
    alone = typer.Typer()
    command(of=alone)(only)
    found = typer.main.get_command(alone).params
    assert {one.name for one in found} >= {field.name for field in fields(record)}
    assert all(one.help for one in found)


def test_a_command_is_put_under_its_group_or_into_an_application_of_its_own():
    alone = typer.Typer()
    alone.callback()(lambda: None)

    @command("by-name", of=alone)
    def function(registry: RegistryOptions) -> None: ...

    assert list(typer.main.get_command(alone).commands) == ["by-name"]
    assert "by-name" not in typer.main.get_command(app).commands
    assert function(RegistryOptions()) is None  # the function itself is not changed


def test_a_registry_is_a_servers_or_that_of_a_run(tmp_path, monkeypatch):
    with pytest.raises(RegistryError):
        RegistryOptions(tmp_path).uri()
    monkeypatch.setattr("medkd.registry.server.require_registry", lambda _: None)
    assert RegistryOptions(tmp_path).uri() == f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert RegistryOptions(tmp_path, "https://there").uri() == "https://there"


def test_the_option_that_names_a_registry_holds_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert RegistryOptions().arguments() == ("--run", str(tmp_path / "runs" / "demo"))
    assert RegistryOptions(Path("x"), "https://there").arguments() == ("--tracking-uri", "https://there")


def test_a_registry_that_takes_versions_in_is_opened_for_it(monkeypatch):
    monkeypatch.setattr(options, "receiving_registry", lambda *given: given)
    assert ReceivingRegistryOptions(Path("x"), "https://there").open() == (Path("x"), "https://there")


def test_a_run_is_opened_where_the_options_say(monkeypatch):
    opened = []
    monkeypatch.setattr(options, "open_run", lambda *given, **named: opened.append((given, named)))
    RunOptions(Path("out"), ["a=1"]).open(Path("r.yaml"))
    RunOptions().open(Path("r.yaml"), runs=Path("runs/folds"))
    assert opened == [
        ((Path("r.yaml"), Path("out"), ["a=1"]), {"runs": Path("runs")}),
        ((Path("r.yaml"), None, None), {"runs": Path("runs/folds")}),
    ]


def test_a_tracking_server_is_asked_and_a_store_known_to_every_process(tmp_path, monkeypatch):
    from medkd.storage.objects import STORE

    asked = []
    monkeypatch.setattr("medkd.registry.server.require_server", asked.append)
    monkeypatch.delenv(STORE, raising=False)
    ClusterOptions().connect()
    assert (asked, os.environ.get(STORE)) == ([], None)
    monkeypatch.setenv(STORE, "")  # so that it is put back
    ClusterOptions("https://there", store=str(tmp_path)).connect()
    assert asked == ["https://there"]
    assert str(tmp_path) in os.environ[STORE]


def test_a_folder_is_read_as_the_options_say():
    given = FolderOptions(["sex=F"], ["Tumour=lesion"], ["id=file", "label=y"], "odd-even")
    assert given.hints() == FolderHints("file", None, "y", "odd-even", {"sex": "F"}, {"Tumour": "lesion"})
    assert FolderOptions().hints() == FolderHints()


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (FolderOptions(where=["sex"]), "OPTION_PAIR"),
        (FolderOptions(segment=["Tumour"]), "OPTION_PAIR"),
        (FolderOptions(column=["x=y"]), "OPTION_VALUE"),
    ],
)
def test_what_cannot_be_read_of_a_folder_is_one_sentence(given, code):
    with pytest.raises(RecipeError) as caught:
        given.hints()
    assert caught.value.code == code
