"""Somebody is told when a deployed run fails or finds drift: by a webhook, by mail, or both. What is told names no file and no patient.

``MEDKD_NOTIFY_URL`` gets a POST of JSON; ``MEDKD_NOTIFY_MAIL`` gets a mail by way of ``MEDKD_SMTP`` (``HOST`` or ``HOST:PORT``).
"""

from __future__ import annotations

import json
import logging
import os
import smtplib
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.schemas.objects import FlowRun, State

URL, MAIL, SMTP = "MEDKD_NOTIFY_URL", "MEDKD_NOTIFY_MAIL", "MEDKD_SMTP"
#: Seconds that a server may take to answer: a run must not wait for one that is down.
ANSWER_S = 10.0
_LOG = logging.getLogger("medkd")


def tell_of_failure(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Tell of a run that failed or crashed (a state hook of Prefect's flows)."""
    notify({"flow": flow.name, "run": flow_run.name, "id": str(flow_run.id), "state": state.name or "", "message": state.message or ""})


def notify(said: Mapping[str, str]) -> None:
    """Send a message wherever messages are wanted; what cannot be sent is logged, for what happened is the news."""
    for send in (_post, _mail):
        try:
            send(said)
        except (OSError, urllib.error.URLError, smtplib.SMTPException, ValueError) as error:
            _LOG.warning("nobody could be told of %s (%s): %s", said.get("flow", "a run"), said.get("state", ""), type(error).__name__)


def _post(said: Mapping[str, str]) -> None:
    url = os.environ.get(URL)
    if not url:
        return
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"expected http:// or https:// in {URL}")
    request = urllib.request.Request(url, json.dumps(said).encode(), {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=ANSWER_S).close()


def _mail(said: Mapping[str, str]) -> None:
    to = os.environ.get(MAIL)
    if not to:
        return
    host, _, port = os.environ.get(SMTP, "localhost").partition(":")
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = to, to, f"medkd: {said.get('flow')} {said.get('state')}"
    message.set_content("\n".join(f"{name}: {value}" for name, value in said.items()))
    with smtplib.SMTP(host, int(port or 25), timeout=ANSWER_S) as server:
        server.send_message(message)
