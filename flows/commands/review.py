"""Commands of the review: serve reports to readers, their accounts, control cases."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.common import CommandGroup, WholeHelp, app, command, say, say_json
from flows.commands.options import AsJson, RegistryOptions

if TYPE_CHECKING:
    from medkd.review_server.accounts import Accounts

review_app = typer.Typer(
    cls=WholeHelp,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Let readers review reports in a browser: worklist, own read, sign-off.",
)
account_app = typer.Typer(
    cls=WholeHelp, no_args_is_help=True, rich_markup_mode=None, help="Who may read, and who may see what readers did."
)
app.add_typer(review_app, name="review", rich_help_panel=CommandGroup.REVIEW)
review_app.add_typer(account_app, name="account")

Reports = Annotated[Path, typer.Argument(help="Folder with reports, as report-store, run-study and demo write them.")]
Data = Annotated[Path, typer.Option("--data", envvar="MEDKD_REVIEW_DATA", help="Folder of accounts, feedback log and control reports.")]


@dataclass(frozen=True)
class AccessOptions:
    """Where the server listens, and what lies between it and the readers."""

    host: Annotated[
        str,
        typer.Option(help="Address to listen at; another than this machine's own needs --tls or --behind-proxy."),
    ] = "127.0.0.1"
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at.")] = 8320
    behind_proxy: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="IP address of the proxy with TLS before it: nobody else may connect then.")
    ] = None
    user_header: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Header in which that proxy names who is logged in; passwords are not asked for then."),
    ] = None
    tls: Annotated[Path | None, typer.Option("--tls", envvar="MEDKD_TLS", help="Folder of tls.crt and tls.key.")] = None


@command(of=review_app)
def serve(
    reports: Reports,
    data: Data,
    access: AccessOptions,
    *,
    control_share: Annotated[
        float, typer.Option(min=0.0, max=0.5, help="Share of the studies that readers are shown with wrong maps (`medkd review controls`).")
    ] = 0.0,
) -> None:
    """Serve reports until it is stopped: own read first, then what the models found, then the sign-off, which goes to the feedback log."""
    from medkd.review_server.serve import serve as run
    from medkd.review_server.settings import ServerSettings

    settings = ServerSettings(
        reports.resolve(), data.resolve(), access.host, access.port, access.behind_proxy, access.user_header, access.tls, control_share
    )
    settings.require_usable()
    if access.user_header is None and not _accounts(data).all():
        say(f"there is no account yet: make one with medkd review account add NAME --data {data}")
    run(settings, _say_address)


def _say_address(address: str) -> None:
    say(f"reviews at {address}; stop with Ctrl-C")
    sys.stdout.flush()  # who reads this through a pipe waits for it


def _accounts(data: Path) -> Accounts:
    from medkd.review_server.accounts import Accounts
    from medkd.review_server.database import Database

    return Accounts(Database(data.resolve()))


@command(of=account_app)
def add(
    name: Annotated[str, typer.Argument(help="Name at login; nothing of it is in any record.")],
    data: Data,
    role: Annotated[str, typer.Option(help="reader, or administrator.")] = "reader",
    title: Annotated[str, typer.Option(help="What records say of the reviewer.")] = "radiologist",
    password: Annotated[bool, typer.Option("--password/--no-password", help="Without one only a proxy can let the account in.")] = True,
    as_json: AsJson = False,
) -> None:
    """Add an account; the password is asked for, or read from a pipe."""
    account = _accounts(data).add(name, _ask_password() if password else None, role=role, title=title)
    if as_json:
        say_json({"ok": True, "name": account.name, "role": account.role, "title": account.title, "reviewer_key": account.reviewer_key})
    else:
        say(f"{account.name} is a {account.role}; records call this reviewer {account.reviewer_key}, {account.title}")


def _ask_password() -> str:
    if sys.stdin.isatty():
        found: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        return found
    return sys.stdin.readline().rstrip("\r\n")


@command(of=account_app)
def remove(name: Annotated[str, typer.Argument(help="Name of the account.")], data: Data, as_json: AsJson = False) -> None:
    """Remove an account and end its sessions; what it signed stays in the log under its pseudonym."""
    _accounts(data).remove(name)
    if as_json:
        say_json({"ok": True, "name": name})
    else:
        say(f"{name} is removed; what was signed stays")


@command("list", of=account_app)
def list_accounts(data: Data, as_json: AsJson = False) -> None:
    """List the accounts."""
    found = _accounts(data).all()
    if as_json:
        say_json(
            {
                "ok": True,
                "accounts": [{"name": one.name, "role": one.role, "title": one.title, "reviewer_key": one.reviewer_key} for one in found],
            }
        )
        return
    for one in found:
        say(f"{one.name.ljust(24)} {one.role.ljust(14)} {one.title.ljust(16)} {one.reviewer_key}")
    say(f"{len(found)} accounts")


@command(of=review_app)
def controls(
    reports: Reports,
    out: Annotated[Path, typer.Option(help="Folder of the control reports: controls in the server's data folder.")],
    as_json: AsJson = False,
) -> None:
    """Make control reports: the same studies with maps that are wrong on purpose, by which reliance on maps is measured."""
    from medkd.review.make_controls import make_controls

    made, refused = make_controls(reports.resolve(), out.resolve())
    if as_json:
        say_json({"ok": True, "made": [f"{one.study_key}/{one.kind}" for one in made], "refused": dict(refused)})
        return
    for key, reason in refused:
        say(f"{key}: {reason}")
    say(
        f"{len(made)} control reports of {len({one.study_key for one in made})} studies; set their share with medkd review serve --control-share"
    )


@command(of=review_app)
def answer(
    reports: Reports,
    data: Data,
    store: Annotated[Path, typer.Option(help="Folder of the store that holds the studies' volumes.")],
    registry: RegistryOptions,
    *,
    time_budget: Annotated[
        float | None, typer.Option(min=1.0, metavar="SECONDS", help="Time for an answer: explainers that refine make what fits and say so.")
    ] = None,
    until_empty: Annotated[bool, typer.Option("--until-empty", help="Answer what waits, then end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Answer what readers ask of places of studies, until it is stopped; each answer is kept, and registered as an explanation."""
    uri = registry.uri()
    from medkd.explanation.answer_questions import QuestionWorker
    from medkd.explanation.questions import QuestionQueue
    from medkd.registry.publish import open_registry
    from medkd.review_server.settings import QUESTIONS
    from medkd.storage.store import Store
    from medkd.storage.workspace import Workspace

    workspace = Workspace(root=registry.run_folder.resolve(), tracking_uri=uri)
    queue = QuestionQueue(data.resolve() / QUESTIONS)
    worker = QuestionWorker(queue, reports.resolve(), Store(store.resolve()), open_registry(workspace), time_budget)
    if not as_json:
        say("answering questions" + ("" if until_empty else "; stop with Ctrl-C"))
        sys.stdout.flush()
    answered = worker.run(until_empty=until_empty)
    if as_json:
        say_json({"ok": True, "answered": answered})
    else:
        say(f"{answered} questions answered")
