"""Log in, log out, choose a language."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from data_contracts import MedkdError
from medkd.review.texts import LANGUAGES
from medkd.review_server.forms import first, read_fields
from medkd.review_server.pages import sentence_of
from medkd.review_server.web import (
    BEFORE,
    LANGUAGE,
    SESSION,
    STATUS,
    before_login,
    body_of,
    fields_of,
    language_of,
    local_path,
    page,
    refusal,
    require_token,
    see_other,
    services_of,
    set_session,
)

router = APIRouter()
Body = Annotated[bytes, Depends(body_of)]


@router.get("/login")
def login_page(request: Request, next: str = "/") -> Response:
    """Return the page that asks for name and password."""
    return _login(request, local_path(next), 200, None)


def _login(request: Request, place: str, status: int, problem: tuple[str, str] | None) -> Response:
    services, before = services_of(request), before_login(request)
    token = services.sessions.token(f"before {before}")
    answer = page(request, "login.html", status=status, csrf=token, next=place, problem=problem)
    answer.set_cookie(BEFORE, before, httponly=True, samesite="strict", secure=services.settings.secure, path="/")
    return answer


@router.post("/login")
def log_in(request: Request, body: Body) -> Response:
    """Begin a session."""
    services, fields = services_of(request), read_fields(body)
    require_token(services.sessions.token(f"before {request.cookies.get(BEFORE, '')}"), first(fields, "csrf"))
    place = local_path(first(fields, "next"))
    address = _address(request)
    try:
        number = services.sessions.log_in(first(fields, "name"), first(fields, "password"), address)
    except MedkdError as error:
        if error.code != "LOGIN_FAILED":
            return refusal(request, error)
        return _login(request, place, STATUS[error.code], sentence_of(error, language_of(request)))
    return set_session(see_other(place), number, services)


def _address(request: Request) -> str:
    """Return the address of the browser: behind a proxy the last one of ``X-Forwarded-For``, which the proxy wrote itself."""
    if services_of(request).settings.proxy is not None:
        return request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()[:64]
    return request.client.host if request.client else ""


@router.post("/logout")
def log_out(request: Request, body: Body) -> Response:
    """End a session."""
    services = services_of(request)
    session = services.require(request)
    fields_of(body, session)
    services.sessions.log_out(request.cookies.get(SESSION))
    answer = see_other("/login")
    answer.delete_cookie(SESSION, path="/")
    return answer


@router.get("/language/{language}")
def choose_language(request: Request, language: str, next: str = "/") -> Response:
    """Remember a language and lead back."""
    answer = RedirectResponse(local_path(next), status_code=303)
    if language in LANGUAGES:
        services = services_of(request)
        answer.set_cookie(
            LANGUAGE, language, max_age=365 * 86400, httponly=True, samesite="strict", secure=services.settings.secure, path="/"
        )
    return answer
