"""What every route shares: who asks, whether the form is ours, in which language, and how answers and refusals are made."""

from __future__ import annotations

import hmac
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from data_contracts import DataError, MedkdError
from medkd.feedback.log import FeedbackLog
from medkd.review.page_data import PageData
from medkd.review_server.accounts import Accounts
from medkd.review_server.database import Database
from medkd.review_server.forms import first, read_fields
from medkd.review_server.pages import render, sentence_of
from medkd.review_server.reading import Readings
from medkd.review_server.sessions import IDLE_S, Session, Sessions
from medkd.review_server.settings import ServerSettings
from medkd.review_server.slices import PictureCache, RecentValues
from medkd.review_server.studies import ServedStudy, StudyIndex

SESSION, BEFORE, LANGUAGE = "medkd_session", "medkd_before", "medkd_language"
#: Status of an answer by the code of its error; 422 of all others.
STATUS = {
    "CSRF": 403,
    "FORBIDDEN": 403,
    "UNKNOWN": 404,
    "LOGIN_FAILED": 401,
    "LOGIN_LOCKED": 429,
    "OWN_READ_FIRST": 409,
    "OWN_READ_LOCKED": 409,
    "OWN_READ_MISSING": 409,
    "FEEDBACK_GIVEN": 409,
    "FEEDBACK_FORM_TAKEN": 409,
    "FEEDBACK_LOG_BUSY": 503,
    "FEEDBACK_LOG_ALTERED": 500,
    "OUT_UNWRITABLE": 507,
    "STUDY_FILE": 500,
}


class NotLoggedIn(Exception):
    """Nobody is logged in, and the page is somebody's."""


@dataclass(frozen=True)
class Services:
    """Everything that answers are made from."""

    settings: ServerSettings
    database: Database
    accounts: Accounts
    sessions: Sessions
    index: StudyIndex
    log: FeedbackLog
    readings: Readings
    pictures: PictureCache
    data: RecentValues[PageData]

    def session(self, request: Request) -> Session | None:
        """Return who asks: by a cookie of ours, or by the header of the one proxy that may connect."""
        header = self.settings.user_header
        if header is not None:
            name = request.headers.get(header, "")
            return self.sessions.by_proxy(name) if name else None
        return self.sessions.find(request.cookies.get(SESSION))

    def require(self, request: Request, *, administrator: bool = False) -> Session:
        """Return who asks.

        Raises:
            NotLoggedIn: nobody.
            DataError: ``FORBIDDEN`` for a reader where only administrators may look.
        """
        found = self.session(request)
        if found is None:
            raise NotLoggedIn
        if administrator and found.account.role != "administrator":
            raise DataError("FORBIDDEN", f"expected an administrator, got a {found.account.role}")
        return found

    def page_data(self, key: tuple[object, ...], make: Callable[[], PageData]) -> PageData:
        """Return what the scripts of a page are given, made where it was not made lately."""
        return self.data.get(key, make)

    def opened(self, session: Session) -> str:
        """Return when a page was made, signed: how long it was open is then known of browsers without scripts too."""
        at = f"{time.time():.1f}"
        return f"{at}.{self.sessions.token(f'opened {at} {session.csrf}')}"

    def since(self, session: Session, opened: str) -> float:
        """Return the seconds since a page was made.

        Raises:
            ValueError: not a time of ours.
        """
        at, _, token = opened.rpartition(".")
        if not hmac.compare_digest(token.encode(), self.sessions.token(f"opened {at} {session.csrf}").encode()):
            raise ValueError("not a time of ours")
        return time.time() - float(at)

    def study(self, key: str) -> ServedStudy:
        """Return a study that is served.

        Raises:
            DataError: ``UNKNOWN``; ``STUDY_FILE`` for one that cannot be shown, saying what to do.
        """
        found = self.index.find(key)
        if found is None:
            raise DataError("UNKNOWN", f"expected the key of a study, got {len(key)} characters that are none")
        if found.problem:
            code, _, sentence = found.problem.partition(": ")
            raise DataError(code, sentence)
        return found


def services_of(request: Request) -> Services:
    """Return the services of the application that a request is to."""
    found: Services = request.app.state.services
    return found


async def body_of(request: Request) -> bytes:
    """Return the body of a request."""
    return await request.body()


def require_token(session_token: str, given: str) -> None:
    """Refuse a form that is not from a page of the same session.

    Raises:
        DataError: ``CSRF``.
    """
    if not hmac.compare_digest(session_token.encode(), given.encode()):
        raise DataError("CSRF", f"expected the token of the session, got {len(given)} characters that are not it; open the page again")


def fields_of(body: bytes, session: Session) -> dict[str, list[str]]:
    """Return the fields of a form of a session.

    Raises:
        DataError: ``CSRF``; FeedbackError: ``FORM_UNREADABLE``.
    """
    fields = read_fields(body)
    require_token(session.csrf, first(fields, "csrf"))
    return fields


def language_of(request: Request) -> str:
    """Return the language that the browser's reader chose; else what the browser asks for."""
    chosen = request.cookies.get(LANGUAGE)
    if chosen in ("en", "zh"):
        return str(chosen)
    return "zh" if request.headers.get("accept-language", "").lower().startswith("zh") else "en"


def page(request: Request, name: str, *, status: int = 200, session: Session | None = None, **context: Any) -> HTMLResponse:
    """Return a page as an answer."""
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    own_login = services_of(request).settings.user_header is None
    shown = render(name, language_of(request), session=session, here=here, own_login=own_login, **context)
    return HTMLResponse(shown, status_code=status)


def refusal(request: Request, error: MedkdError) -> Response:
    """Return an error as an answer: JSON for scripts, a page for people."""
    status, headers = STATUS.get(error.code, 422), {}
    values: Mapping[str, str] = {}
    if error.code == "LOGIN_LOCKED":
        seconds = re.search(r"(\d+) seconds", error.message)
        values = {"seconds": seconds[1] if seconds else "900"}
        headers["Retry-After"] = values["seconds"]
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"ok": False, "code": error.code, "message": error.message}, status_code=status, headers=headers)
    session = services_of(request).session(request)
    answer = page(
        request,
        "error.html",
        status=status,
        session=session,
        problem=sentence_of(error, language_of(request), values),
        wrote=request.method == "POST",
        back=back_of(request),
    )
    answer.headers.update(headers)
    return answer


def back_of(request: Request) -> str:
    """Return where a reader goes back to from an error: to the study, if the form was one of a study's."""
    found = re.match(r"/study/[^/]+(?=/)", request.url.path)
    return found[0] if found else "/"


def local_path(text: str) -> str:
    """Return an address of this server that somebody is led on to; the worklist for any other."""
    return text if re.fullmatch(r"/(?!/)[^\\\s]*", text) and len(text) < 2000 else "/"


def see_other(place: str) -> RedirectResponse:
    """Lead on with a GET, so that a reload sends nothing again."""
    return RedirectResponse(place, status_code=303)


def set_session(answer: Response, number: str, services: Services) -> Response:
    """Give a browser its session: for this site alone, out of reach of scripts."""
    answer.set_cookie(SESSION, number, max_age=int(IDLE_S) * 6, httponly=True, samesite="strict", secure=services.settings.secure, path="/")
    return answer


def new_form() -> str:
    """Return the id of a new form."""
    return secrets.token_hex(16)


def before_login(request: Request) -> str:
    """Return the random number by which a browser without a session is known; a new one where it has none."""
    known = request.cookies.get(BEFORE, "")
    return known if re.fullmatch(r"[A-Za-z0-9_-]{20,64}", known) else secrets.token_urlsafe(24)
