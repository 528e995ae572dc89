"""Commands about registered versions: their lineage, their way to another registry, and what may be removed."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data_contracts.errors import RecipeError
from data_contracts.private import open_private
from flows.commands.common import CommandGroup, command, registry_uri, say, say_json
from flows.commands.hints import command_line
from flows.commands.options import DEMO_RUN, AsJson, ReceivingRegistryOptions, RegistryOptions, RunOfModels
from flows.commands.registry import registry_app

if TYPE_CHECKING:
    from data_contracts import RetentionPolicy
    from medkd.lineage.graph import LineageNode
    from medkd.lineage.judgement import Judgement
    from medkd.registry.mlflow_registry import MlflowRegistry

VersionUri = Annotated[str, typer.Argument(metavar="URI", help="Registered version, models:/NAME/VERSION or models:/NAME@ALIAS.")]
#: Of each kind, so many things are listed by name; a table of thousands of files is read by nobody.
_LISTED = 12


@command("export", of=registry_app)
def export_command(
    uri: VersionUri,
    file: Annotated[Path, typer.Argument(help="Zip to write; it must not exist.")],
    slim: Annotated[
        bool, typer.Option("--slim", help="Without explanations, reports, feedback, knowledge and the serving forms of teachers.")
    ] = False,
    without_teachers: Annotated[
        bool, typer.Option("--without-teachers", help="The version alone, for registries that have its teacher already.")
    ] = False,
    *,
    registry: RegistryOptions,
    as_json: AsJson = False,
) -> None:
    """Write a version with its teachers, their knowledge, explanations and reports to one file, every byte verified."""
    opened = _open(registry)
    from medkd.registry.export_version import export_version

    index = export_version(opened, uri, file, slim=slim, teachers=not without_teachers)
    names = [version.model.uri for version in index.versions]
    if as_json:
        say_json({"file": str(file), "versions": names, "files": len(index.files), "digest": index.digest()})
        return
    say(f"wrote {file}: {len(index.files)} files of {', '.join(names)}")
    say(f"index {index.digest()}: tell it to whoever takes the file in")
    say(f"there: {command_line('medkd', 'registry', 'import', file.name, '--run', 'FOLDER')}")


@command("import", of=registry_app)
def import_command(
    file: Annotated[Path, typer.Argument(help="Zip that `medkd registry export` wrote.")],
    receiving: ReceivingRegistryOptions,
    as_json: AsJson = False,
) -> None:
    """Take in the versions of an export: verified first, registered once, with the lineage they came with."""
    from medkd.storage.output import require_source

    require_source(file)
    with receiving.open() as registry:
        from medkd.registry.import_version import import_versions

        done = import_versions(registry, file)
    if as_json:
        say_json({"versions": [{"origin": str(one.origin), "uri": one.model.uri, "existed": one.existed} for one in done]})
        return
    for one in done:
        say(f"{one.model.uri}  {'was here before' if one.existed else 'registered'}, there {one.origin.name}/{one.origin.version}")


@command(group=CommandGroup.REGISTRY)
def lineage(
    uri: VersionUri,
    registry: RegistryOptions,
    svg: Annotated[Path | None, typer.Option(help="Draw it to this file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Walk from the data to what readers said, hash everything again, and name the file where a byte differs."""
    opened = _open(registry)
    from medkd.lineage.draw_lineage import draw_lineage
    from medkd.lineage.walk import require_unaltered, walk_lineage

    graph = walk_lineage(opened, uri, registry.run_folder.resolve() if registry.tracking_uri is None else None)
    if svg is not None:
        with open_private(svg, "w", encoding="utf-8") as stream:
            stream.write(draw_lineage(graph))
    if as_json:
        say_json(graph.as_json() | ({} if svg is None else {"svg": str(svg)}))
    else:
        for node in graph.nodes:
            say(_line(node))
        if svg is not None:
            say(f"drawn to {svg}")
    require_unaltered(graph)


def _line(node: LineageNode) -> str:
    files = f", {node.files} files" if node.files > 1 else ""
    said = f"{node.state.value.upper() if node.state.value == 'altered' else node.state.value}{files}"
    return f"{node.kind.value:<13} {node.name:<44} {node.digest[:12]:<13} {said}" + (f" ({node.note})" if node.note else "")


@command(group=CommandGroup.REGISTRY)
def gc(
    run_folder: RunOfModels = DEMO_RUN,
    policy_file: Annotated[
        Path | None, typer.Option("--policy", help="YAML with keep_days, keep_newest, keep_reported, stage_days, prefect_days.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; without, only say what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what no alias, report, feedback or lineage needs and why everything else stays; with --yes, remove it."""
    policy, root = _read_policy(policy_file), run_folder.resolve()
    registry_uri(root, None)
    from data_contracts.private import privately
    from medkd.lineage.clean_run import clean_run, judge_run
    from medkd.storage.run_lock import alone_in

    with ExitStack() as stack:
        stack.enter_context(privately())
        stack.enter_context(alone_in(root))  # what another process is about to write would be judged as of nobody
        judged = (*judge_run(root, _open(RegistryOptions(root)), policy), *_prefect_runs(stack, root, policy))
        if not as_json:
            _say_judged(judged)
        removed = clean_run(judged) if yes else ()
    going = [one for one in judged if not one.stays]
    if as_json:
        rows = [{"kind": one.kind, "name": one.name, "stays": one.stays, "why": one.why, "bytes": one.bytes} for one in judged]
        say_json({"removed": len(removed), "bytes": sum(one.bytes for one in going), "judged": rows})
    elif yes:
        say(f"removed {len(removed)} things, {_megabytes(sum(one.bytes for one in removed))}")
    else:
        say(f"would remove {len(going)} things, {_megabytes(sum(one.bytes for one in going))}; nothing was changed, --yes removes them")


def _read_policy(path: Path | None) -> RetentionPolicy:
    from pydantic import ValidationError

    from data_contracts import RetentionPolicy
    from data_contracts.record import first_problem
    from medkd.storage.output import require_source
    from medkd.yaml_text import YamlRefused, parse_yaml

    if path is None:
        return RetentionPolicy()
    require_source(path)
    try:
        values = parse_yaml(path.read_text(encoding="utf-8"), str(path))
        return RetentionPolicy.model_validate(values)
    except ValidationError as error:
        raise RecipeError("POLICY_INVALID", f"expected a retention policy in {path}: {first_problem(error)}") from error
    except (YamlRefused, UnicodeDecodeError) as error:
        raise RecipeError("POLICY_INVALID", f"expected YAML in {path}: {error}") from error


def _prefect_runs(stack: ExitStack, root: Path, policy: RetentionPolicy) -> list[Judgement]:
    from flows.prefect_history import prefect_history
    from medkd.lineage.judgement import Judgement

    history = stack.enter_context(prefect_history(root)) if policy.prefect_days is not None else None
    if history is None or policy.prefect_days is None:
        return []
    why = f"began more than {policy.prefect_days} days ago"
    return [Judgement("Prefect run", run.name, why, 0, partial(history.remove, run)) for run in history.older_than(policy.prefect_days)]


def _say_judged(judged: tuple[Judgement, ...]) -> None:
    """Say what goes and then what stays, versions one by one, files of one reason together."""
    for stays, title in ((False, "GOES"), (True, "STAYS")):
        own = [one for one in judged if one.stays is stays]
        say(f"{title}{'' if own else '    nothing'}")
        counts = Counter((one.kind, one.why) for one in own)
        said: set[tuple[str, str]] = set()
        for one in own:
            group = (one.kind, one.why)
            if one.kind == "version" or counts[group] <= (1 if stays else _LISTED):
                say(f"  {one.kind:<15} {one.name:<52} {_megabytes(one.bytes):>10}  {one.why}")
            elif group not in said:
                said.add(group)
                size = sum(other.bytes for other in own if (other.kind, other.why) == group)
                say(f"  {one.kind:<15} {f'{counts[group]} of them':<52} {_megabytes(size):>10}  {one.why}")


def _megabytes(count: int) -> str:
    return f"{count / 2**20:.1f} MiB"


def _open(registry: RegistryOptions) -> MlflowRegistry:
    """Return a registry that exists; one that cannot be asked is refused before MLflow is imported."""
    uri = registry.uri()
    from medkd.registry.mlflow_registry import MlflowRegistry

    return MlflowRegistry(uri, artifacts=registry.run_folder.resolve() / "mlartifacts")
