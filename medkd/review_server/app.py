"""The application: services, routes, what happens with errors. Nothing here imports torch, MLflow or MONAI."""

from __future__ import annotations

from importlib.resources import files
from typing import cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse, Response
from starlette.exceptions import HTTPException

from data_contracts import DataError, MedkdError
from medkd.feedback.log import FeedbackLog
from medkd.review_server import routes_account, routes_admin, routes_asked, routes_study
from medkd.review_server.accounts import Accounts
from medkd.review_server.asking import Questions
from medkd.review_server.database import Database
from medkd.review_server.reading import Readings
from medkd.review_server.security import Guard
from medkd.review_server.sessions import Sessions
from medkd.review_server.settings import ServerSettings
from medkd.review_server.slices import PictureCache, RecentValues
from medkd.review_server.studies import StudyIndex
from medkd.review_server.web import NotLoggedIn, Services, local_path, refusal, see_other, services_of

#: What is served as it lies in the packages: name in the address → package and path, and its type.
STATIC = {
    "server.css": ("medkd.review_server", "static/server.css", "text/css"),
    "served.css": ("medkd.review_server", "static/served.css", "text/css"),
    "served.js": ("medkd.review_server", "static/served.js", "text/javascript"),
    "ask.js": ("medkd.review_server", "static/ask.js", "text/javascript"),
    "vendor/htmx.min.js": ("medkd.review_server", "static/vendor/htmx.min.js", "text/javascript"),
}


def create_app(settings: ServerSettings) -> FastAPI:
    """Return the application of a server.

    Args:
        settings: of the server.

    Raises:
        SourceError, NetworkError: as :meth:`ServerSettings.require_usable`.
        StoreError: ``REVIEW_DATABASE``; FeedbackError: ``FEEDBACK_LOG_ALTERED``: nothing is added to a log that was altered.
    """
    settings.require_usable()
    app = FastAPI(title="medkd review", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.services = services_with(settings)
    app.add_middleware(Guard, settings=settings)
    for router in (routes_account.router, routes_admin.router, routes_study.router, routes_asked.router):
        app.include_router(router)
    app.add_api_route("/static/{name:path}", static_file, methods=["GET"])
    app.add_api_route("/health", health, methods=["GET"])
    app.add_exception_handler(NotLoggedIn, _to_login)
    app.add_exception_handler(MedkdError, _refused)
    app.add_exception_handler(HTTPException, _unknown)
    app.add_exception_handler(RequestValidationError, _misread)
    return app


def services_with(settings: ServerSettings) -> Services:
    """Open everything that answers are made from; the feedback log is verified once as a whole."""
    database = Database(settings.data)
    accounts = Accounts(database)
    index, log = StudyIndex(settings.reports), FeedbackLog(settings.feedback)
    log.verify()
    index.all()
    readings = Readings(settings, database, index, log)
    questions = Questions(settings.questions, after_sign_off=settings.control_share > 0)
    return Services(
        settings,
        database,
        accounts,
        Sessions(database, accounts),
        index,
        log,
        readings,
        PictureCache(),
        RecentValues(),
        RecentValues(),
        RecentValues(128),
        questions,
    )


def static_file(name: str) -> Response:
    """Return a script or a style."""
    from medkd.review.render_html import PARTS

    found = STATIC.get(name)
    if found is None and name in PARTS:
        kind = "text/css" if name.endswith(".css") else "text/javascript"
        found = ("medkd.review", f"templates/{name}", kind)
    if found is None:
        raise DataError("UNKNOWN", f"expected a file of the pages, got {len(name)} characters that name none")
    package, path, kind = found
    return Response(files(package).joinpath(*path.split("/")).read_bytes(), media_type=f"{kind}; charset=utf-8")


def health(request: Request) -> PlainTextResponse:
    """Say that the server answers and its log can be read; nothing else, since anybody may ask."""
    return PlainTextResponse("ok\n" if len(services_of(request).log) >= 0 else "")


async def _to_login(request: Request, error: Exception) -> Response:
    del error
    if "application/json" in request.headers.get("accept", ""):
        return refusal(
            request,
            DataError("LOGIN_FAILED", f"expected a session, got none for {request.method}; log in again in another tab, and repeat it"),
        )
    if services_of(request).settings.user_header is not None:
        return PlainTextResponse("expected the name of an account from the proxy, got none\n", status_code=401)
    place = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return see_other("/login" + (f"?next={_quoted(local_path(place))}" if request.method == "GET" and place != "/" else ""))


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="/")


async def _misread(request: Request, error: Exception) -> Response:
    del error
    return refusal(
        request, DataError("UNKNOWN", f"expected an address of this server, got {len(request.url.path)} characters that are none")
    )


async def _refused(request: Request, error: Exception) -> Response:
    return refusal(request, cast(MedkdError, error))  # what it is registered for


async def _unknown(request: Request, error: Exception) -> Response:
    refused = cast(HTTPException, error)  # what it is registered for
    if refused.status_code != 404:
        return PlainTextResponse(f"{refused.detail}\n", status_code=refused.status_code, headers=refused.headers)
    return refusal(
        request, DataError("UNKNOWN", f"expected an address of this server, got {len(request.url.path)} characters that are none")
    )
