"""Commands about registered models: promote, rollback, registry aliases, registry show, registry search, registry forget-patient."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data_contracts.errors import RegistryError
from flows.commands.common import CommandGroup, WholeHelp, app, command, say, say_json
from flows.commands.options import AsJson, RegistryOptions

if TYPE_CHECKING:
    from medkd.promotion.promote import Signatory
    from medkd.registry.interface import Registry

registry_app = typer.Typer(
    cls=WholeHelp, no_args_is_help=True, rich_markup_mode=None, help="Look at registered models, and take them to another registry."
)
app.add_typer(registry_app, name="registry", rich_help_panel=CommandGroup.REGISTRY)

Version = Annotated[str, typer.Argument(help="Registered model, models:/NAME/VERSION or models:/NAME@ALIAS.")]
Name = Annotated[str, typer.Argument(help="Name of a registered model.")]


class Alias(StrEnum):
    candidate = "candidate"
    champion = "champion"


@dataclass(frozen=True)
class SignatureOptions:
    """Who signs a promotion: all of it, or nothing."""

    signed_by: Annotated[str | None, typer.Option(help="Who answers for the promotion; goes with --role and --statement.")] = None
    role: Annotated[str | None, typer.Option(help="In which capacity that person signs.")] = None
    statement: Annotated[str | None, typer.Option(help="What that person states.")] = None

    def signatory(self) -> Signatory | None:
        """Return who signs.

        Raises:
            RegistryError: ``PROMOTION_UNSIGNED`` when a part of it is missing.
        """
        given = {"--signed-by": self.signed_by, "--role": self.role, "--statement": self.statement}
        missing = [name for name, text in given.items() if not text]
        if len(missing) == len(given):
            return None
        if missing:
            raise RegistryError(
                "PROMOTION_UNSIGNED", f"expected --signed-by, --role and --statement together, {' and '.join(missing)} is missing"
            )
        from medkd.promotion.promote import Signatory

        return Signatory(self.signed_by or "", self.role or "", self.statement or "")


@command(group=CommandGroup.REGISTRY)
def promote(
    model: Version,
    to: Annotated[Alias, typer.Option(help="Alias to move; the champion needs a verdict that passed and a signature.")] = Alias.candidate,
    policy: Annotated[Path | None, typer.Option(help="YAML file of the promotion policy; by default the one that is shipped.")] = None,
    *,
    signature: SignatureOptions,
    registry: RegistryOptions,
    as_json: AsJson = False,
) -> None:
    """Put a registered model to a promotion policy, keep the verdict beside it and move an alias to it: candidate, or champion with a signature."""
    uri, signatory = registry.uri(), signature.signatory()
    from medkd.promotion.policy import read_policy
    from medkd.promotion.promote import promote_signed
    from medkd.promotion.verdict_text import verdict_table

    wanted = read_policy(policy)
    done = promote_signed(open_alone(uri), model, wanted, to=to.value, signatory=signatory)
    if as_json:
        verdict = None if done.verdict is None else {**done.verdict.model_dump(mode="json"), "id": done.verdict.id}
        say_json({"ok": True, "model": done.model.uri, "alias": done.alias, "changed": done.changed, "verdict": verdict})
        return
    if done.verdict is not None:
        say(verdict_table(done.verdict))
    say(f"{done.alias} of {done.model.name} {'stands now' if done.changed else 'stood already'} at {done.model.uri}")


@command(group=CommandGroup.REGISTRY)
def rollback(name: Name, registry: RegistryOptions, as_json: AsJson = False) -> None:
    """Make the previous champion of a name the champion again, once every byte of it and its lineage are verified."""
    uri = registry.uri()
    from medkd.promotion.rollback import rollback as roll_back

    done = roll_back(open_alone(uri), name)
    if as_json:
        say_json(
            {"ok": True, "model": done.model.uri, "before": done.event.before, "previous": done.event.previous, "event": done.event.number}
        )
        return
    previous = "nowhere" if done.event.previous is None else f"at version {done.event.previous}"
    say(
        f"champion of {name} stands at {done.model.uri} again, instead of version {done.event.before}; previous stands {previous}\n"
        f"verified: every byte of it; {done.lineage}"
    )


@command(of=registry_app)
def aliases(name: Name, registry: RegistryOptions, as_json: AsJson = False) -> None:
    """Say at which version each alias of a name stands, and how the champion came to be."""
    uri = registry.uri()
    from medkd.promotion.history import promotion_events
    from medkd.promotion.show_version import event_text

    opened = open_alone(uri)
    found, events = opened.aliases(name), promotion_events(opened, name)
    if as_json:
        say_json({"name": name, "aliases": found, "events": [event.model_dump(mode="json") for event in events]})
        return
    say("\n".join(f"{alias.ljust(10)} models:/{name}/{version}" for alias, version in found.items()) or f"{name} has no alias")
    for event in events:
        say(event_text(event))


@command(of=registry_app)
def show(model: Version, registry: RegistryOptions, as_json: AsJson = False) -> None:
    """Say what a registered model is: aliases, figures, serving form, calibration, explanations, failed explainers, verdicts."""
    uri = registry.uri()
    from medkd.promotion.show_version import show_version, version_text

    shown = show_version(open_alone(uri), model)
    if as_json:
        say_json(shown)
    else:
        say(version_text(shown))


@command(of=registry_app)
def search(
    query: Annotated[
        str, typer.Argument(help='FIELD OP VALUE joined by "and"; OP is one of = != >= <= > < ~ (contains). Without one, every version.')
    ] = "",
    *,
    registry: RegistryOptions,
    as_json: AsJson = False,
) -> None:
    """Find registered versions by name, alias, teacher, figures, explanations, verdicts and tags: "teacher=NAME and metrics.dice>=0.6"."""
    uri = registry.uri()
    from flows.search_text import search_text
    from medkd.registry.search_models import as_json as version_json
    from medkd.registry.search_models import search_models

    found = search_models(open_alone(uri), query)
    if as_json:
        say_json({"query": query, "searched": found.searched, "found": [version_json(one) for one in found.versions]})
    else:
        say(search_text(found))


@command(of=registry_app)
def forget_patient(
    patient: Annotated[str, typer.Argument(help="Pseudonymous key of the patient, as cohorts and reports have it.")],
    registry: RegistryOptions,
    as_json: AsJson = False,
) -> None:
    """Leave a patient out of the features of training cases beside every version; weights and training manifests stay as they are."""
    uri = registry.uri()
    from medkd.registry.training_features import forget_patient as forget

    done = forget(open_alone(uri), patient)
    if as_json:
        say_json({"ok": True, "patient": patient, "left_out": done})
        return
    say(
        "\n".join(f"{model}: {count} training items left out" for model, count in done.items()) or f"no version keeps features of {patient}"
    )


def open_alone(uri: str) -> Registry:
    """Open a registry that is asked alone, without a run's folder."""
    import tempfile

    from medkd.registry.publish import open_registry
    from medkd.storage.workspace import Workspace

    with tempfile.TemporaryDirectory(prefix="medkd-") as scratch:
        return open_registry(Workspace(Path(scratch), uri))
