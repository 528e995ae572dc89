"""Options that several commands take: each declared once, those that belong together as records."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.common import column_names, open_run, pairs, receiving_registry, registry_uri, use_store

if TYPE_CHECKING:
    from data_contracts import Recipe
    from medkd.cohorts.external_dataset import FolderHints
    from medkd.registry.mlflow_registry import MlflowRegistry
    from medkd.storage.workspace import Workspace


class EngineName(StrEnum):
    prefect = "prefect"
    none = "none"


#: Who drives a flow, whatever the command, where neither ``--engine`` nor the environment says otherwise.
DEFAULT_ENGINE = EngineName.prefect

AsJson = Annotated[bool, typer.Option("--json", help="Print one line of JSON instead of text.")]
TaskRunner = Annotated[
    str | None,
    typer.Option(
        help="Where Prefect's tasks run: threads (default), processes, dask, or the address of a Dask scheduler, tcp://HOST:8786."
    ),
]
Policy = Annotated[
    str | None, typer.Option(help="reject, repair or accept_with_flag for all codes that allow it, or a YAML file per code.")
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Override a recipe field, dotted; may be repeated.")
]
RecipeFile = Annotated[Path, typer.Argument(help="YAML file of a recipe, for example flows/recipes/busbra.yaml.")]
ColumnNames = Annotated[
    list[str] | None,
    typer.Option(
        "--column", metavar="id|patient|label=COLUMN", help="Column that names files, patients or classes, where it is not recognised."
    ),
]
PatientPattern = Annotated[
    str | None, typer.Option(help="Without cases.csv: odd-even, or a regular expression whose group is the patient.")
]
RunOfModels = Annotated[Path, typer.Option("--run", help="Run whose registry holds it.")]
RegisteredModel = Annotated[str, typer.Option(help="Registered model, models:/NAME/VERSION or models:/NAME@ALIAS.")]
TrackingUri = Annotated[str | None, typer.Option(help="MLflow tracking URI of the registry, instead of a run's own.")]
TrackedBy = Annotated[str | None, typer.Option("--tracking-uri", help="MLflow server to track to, instead of the run's own database.")]
#: The run that is meant where none is named: that of ``medkd demo``.
DEMO_RUN = Path("runs/demo")


@dataclass(frozen=True)
class RegistryOptions:
    """Which registry is asked: a run's, or a server's."""

    run_folder: RunOfModels = DEMO_RUN
    tracking_uri: TrackingUri = None

    def uri(self) -> str:
        """Return where the registry is, as :func:`flows.commands.common.registry_uri`."""
        return registry_uri(self.run_folder, self.tracking_uri)

    def arguments(self) -> tuple[str, str]:
        """Return the option that names the same registry from any folder."""
        return ("--tracking-uri", self.tracking_uri) if self.tracking_uri else ("--run", str(self.run_folder.resolve()))


@dataclass(frozen=True)
class ReceivingRegistryOptions:
    """Which registry takes in what comes from elsewhere: a run's, which is made where there is none, or a server's."""

    run_folder: Annotated[Path, typer.Option("--run", help="Run whose registry takes it in; made where there is none.")] = DEMO_RUN
    tracking_uri: TrackingUri = None

    def open(self) -> AbstractContextManager[MlflowRegistry]:
        """Open it, as :func:`flows.commands.common.receiving_registry`."""
        return receiving_registry(self.run_folder, self.tracking_uri)


@dataclass(frozen=True)
class RunOptions:
    """The run of a recipe: where it is kept, and which fields are overridden."""

    out: Annotated[Path | None, typer.Option(help="Folder of the run; by default runs/RECIPE-NAME.")] = None
    overrides: Overrides = None

    def open(self, recipe: Path, *, runs: Path = Path("runs")) -> tuple[Recipe, Workspace]:
        """Return a bound recipe and the workspace of its run, as :func:`flows.commands.common.open_run`."""
        return open_run(recipe, self.out, self.overrides, runs=runs)


@dataclass(frozen=True)
class FlowOptions:
    """How a flow is driven, and how its result is printed."""

    engine: Annotated[
        EngineName,
        typer.Option(envvar="MEDKD_ENGINE", help="Who drives: Prefect (embedded, or the one that PREFECT_API_URL names), or nobody."),
    ] = DEFAULT_ENGINE
    as_json: AsJson = False


@dataclass(frozen=True)
class ClusterOptions:
    """What a run shares with other machines: a tracking server, a task runner, a store."""

    tracking_uri: TrackedBy = None
    task_runner: TaskRunner = None
    store: Annotated[
        str | None,
        typer.Option(help="Store that machines share, s3://BUCKET/PREFIX or a folder: results go there and are taken from there."),
    ] = None

    def connect(self) -> None:
        """Refuse a tracking server that does not answer, and let every process of the run use the store."""
        if self.tracking_uri is not None:
            from medkd.registry.server import require_server

            require_server(self.tracking_uri)
        use_store(self.store)


@dataclass(frozen=True)
class FolderOptions:
    """How a labelled folder is read: which of its cases, and what its columns and structures mean."""

    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=VALUE",
            help="Keep these lines of cases.csv (of DICOM: modality=CT, DiffusionBValue=1000); may be repeated.",
        ),
    ] = None
    segment: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=CLASS", help="Of DICOM: class of a structure, by its label, code or meaning; may be repeated."),
    ] = None
    column: ColumnNames = None
    patient_pattern: PatientPattern = None

    def hints(self) -> FolderHints:
        """Return them as whoever reads the folder takes them.

        Raises:
            RecipeError: ``OPTION_PAIR``, ``OPTION_VALUE`` for an option that cannot be read.
        """
        named, kept = column_names(self.column), pairs(self.where, "--where COLUMN=VALUE")
        classes = pairs(self.segment, "--segment NAME=CLASS")
        from medkd.cohorts.external_dataset import FolderHints

        return FolderHints(named.get("id"), named.get("patient"), named.get("label"), self.patient_pattern, kept, classes)


@dataclass(frozen=True)
class StudyOptions:
    """How one study is read, and where results go as DICOM."""

    series: Annotated[str | None, typer.Option(help="Key of the series, where the study holds several.")] = None
    policy: Policy = None
    dicom_out: Annotated[
        Path | None,
        typer.Option(
            help="Folder to publish the results to as DICOM (SEG, maps, SR, picture), each read back first. They carry the source's patient."
        ),
    ] = None
