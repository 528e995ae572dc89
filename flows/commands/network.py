"""Commands that speak with archives: receive, send."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.common import CommandGroup, command, pairs, say, say_json
from flows.commands.options import AsJson, Policy

if TYPE_CHECKING:
    from flows.receive import ReceptionEvent
    from medkd.network.receive import ReceiverLimits
    from medkd.network.send import SentOutcome

Certificates = Annotated[
    Path | None,
    typer.Option("--tls", envvar="MEDKD_TLS", help="Folder of tls.crt and tls.key (our own) and ca.crt (who is trusted)."),
]
#: Limits of a receiver by the names that ``--set`` has for them: field, factor, and whether it is the inbox's.
_LIMITS: dict[str, tuple[str, float, bool]] = {
    "quiet_s": ("quiet_s", 1.0, True),
    "free_gb": ("min_free_bytes", float(1 << 30), True),
    "sync_objects": ("sync_objects", 1.0, True),
    "associations": ("associations", 1.0, False),
    "pdu_bytes": ("pdu_bytes", 1.0, False),
    "timeout_s": ("timeout_s", 1.0, False),
}


@dataclass(frozen=True)
class ListenerOptions:
    """Where we listen, and under which name."""

    port: Annotated[str, typer.Option(help="PORT to listen at, or HOST:PORT.")] = "11112"
    ae: Annotated[str, typer.Option(help="Our AE title, which senders have to call.")] = "MEDKD"


@command(group=CommandGroup.DATA)
def receive(
    out: Annotated[Path, typer.Option(help="Inbox: a folder of whole studies, a folder each.")] = Path("inbox"),
    *,
    listener: ListenerOptions,
    store: Annotated[
        Path | None, typer.Option(help="Store that whole studies are ingested into; without it they stay in the inbox.")
    ] = None,
    policy: Policy = None,
    limits: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="A limit: quiet_s, free_gb, associations, timeout_s, pdu_bytes, sync_objects."),
    ] = None,
    tls: Certificates = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for everything that happens.")] = False,
) -> None:
    """Receive studies from scanners and archives (C-STORE) until it is stopped; what was acknowledged survives whatever ends it."""
    from flows.policy import read_policy
    from flows.receive import Reception
    from flows.receive import receive as run
    from medkd.dicom.source import check_source
    from medkd.network.addresses import parse_listen, require_ae_title
    from medkd.network.installed import require_network
    from medkd.network.receive import Receiver
    from medkd.network.secure import server_context
    from medkd.storage.output import INBOX, claim

    require_network()
    host, number = parse_listen(listener.port)
    wanted, title = _limits(limits), require_ae_title(listener.ae)
    context = None if tls is None else server_context(tls)
    reception = Reception(store, read_policy(policy))
    claim(out, INBOX)
    if store is not None:
        check_source(out, store)
    with Receiver(out, number, title, host=host, limits=wanted, tls=context) as receiver:
        if as_json:
            say_json({"what": "listening", "ae": title, "port": receiver.port, "inbox": str(out)})
        else:
            say(f"{title} listens at {host or 'port'} {receiver.port}{' over TLS' if context else ''}; whole studies go to {out}")
        run(receiver, reception, _say_json_event if as_json else _say_event, threading.Event())


@dataclass(frozen=True)
class CommitmentOptions:
    """Whether an archive is asked to commit itself to what it got, and where and how long its report is waited for."""

    commitment: Annotated[bool, typer.Option("--commitment/--no-commitment", help="Ask the archive to commit itself to keeping it.")] = True
    listen: Annotated[str | None, typer.Option(help="PORT or HOST:PORT that the archive reports commitment to, if not at once.")] = None
    wait: Annotated[float, typer.Option(min=0.0, help="Seconds to wait for such a report.")] = 30.0


@command(group=CommandGroup.DATA)
def send(
    folder: Annotated[Path, typer.Argument(help="Result set, folder of DICOM, or file.")],
    to: Annotated[str, typer.Option(help="AE@HOST:PORT (C-STORE), dimses://AE@HOST:PORT, or https://HOST/dicom-web (STOW-RS).")],
    ae: Annotated[str, typer.Option(help="Our AE title.")] = "MEDKD",
    *,
    keeping: CommitmentOptions,
    tls: Certificates = None,
    as_json: AsJson = False,
) -> None:
    """Send results or other DICOM to an archive; what it has already is not sent again."""
    from medkd.network.addresses import parse_listen, parse_peer
    from medkd.network.installed import require_network
    from medkd.network.send import SendRequest, is_complete
    from medkd.network.send import send as run

    require_network()
    peer = parse_peer(to, calling=ae)
    listen = None if keeping.listen is None else parse_listen(keeping.listen)
    request = SendRequest(folder, peer, keeping.commitment, listen, keeping.wait, tls)
    outcomes = run(request)
    if as_json:
        counts = {state: sum(one.state == state for one in outcomes) for state in ("sent", "known", "found", "failed")}
        say_json({"to": str(peer), **counts, "objects": [asdict(one) for one in outcomes]})
    else:
        _say_outcomes(outcomes, str(peer))
    if not is_complete(outcomes):
        raise typer.Exit(1)


def _limits(given: list[str] | None) -> ReceiverLimits:
    from data_contracts import NetworkError
    from medkd.network.receive import ReceiverLimits
    from medkd.network.study_inbox import InboxLimits

    inbox: dict[str, Any] = {}
    own: dict[str, Any] = {}
    for name, text in pairs(given, "--set FIELD=VALUE").items():
        if name not in _LIMITS:
            raise NetworkError("RECEIVER_LIMIT", f"expected a limit among {', '.join(_LIMITS)}, got {name!r}")
        field, factor, of_inbox = _LIMITS[name]
        (inbox if of_inbox else own)[field] = _limit(name, text, factor)
    return ReceiverLimits(inbox=InboxLimits(**inbox), **own)


def _limit(name: str, text: str, factor: float) -> float | int | bool:
    from data_contracts import NetworkError

    if name == "sync_objects":
        if text.lower() not in ("true", "false"):
            raise NetworkError("RECEIVER_LIMIT", f"expected sync_objects=true or false, got {text!r}")
        return text.lower() == "true"
    least = {"quiet_s": 0.0, "free_gb": 0.0, "associations": 1.0, "pdu_bytes": 4096.0, "timeout_s": 1.0}[name]
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not least <= value <= 1e9:
        raise NetworkError("RECEIVER_LIMIT", f"expected a number from {least:g} up for {name}, got {text!r}")
    return value if name.endswith("_s") else int(value * factor)


def _say_event(event: ReceptionEvent) -> None:
    lines = {
        "received": f"received  {event.study}  {event.objects} objects",
        "ingested": f"ingested  {event.study}  {event.objects} accepted",
    }
    say(lines.get(event.what, f"{event.what.ljust(9)} {event.study}  {event.code}: {event.said}"))
    _flush()


def _say_json_event(event: ReceptionEvent) -> None:
    say_json({name: value for name, value in asdict(event).items() if value != ""})
    _flush()


def _flush() -> None:
    # Whoever reads this through a pipe reads it while it happens.
    import sys

    sys.stdout.flush()


def _say_outcomes(outcomes: list[SentOutcome], peer: str) -> None:
    widest = max(len(one.file) for one in outcomes)
    for one in outcomes:
        kept = {None: "", True: "committed", False: "NOT KEPT by the archive"}[one.committed]
        say(f"  {one.file.ljust(widest)}  {one.state.ljust(6)}  {one.reason or kept}".rstrip())
    there = sum(one.state != "failed" for one in outcomes)
    say(f"{there} of {len(outcomes)} objects are at {peer}, {sum(one.state == 'sent' for one in outcomes)} of them sent now")
