"""The worklist, a study before and after the own read, its pictures, and what is sent of it."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from data_contracts import DataError, FeedbackError, OwnReadAnswer
from data_contracts.feedback import OwnRead
from medkd import __version__
from medkd.review.texts import say, text_of
from medkd.review_server.forms import first, form_of_fields, read_json_form
from medkd.review_server.reading import Entered
from medkd.review_server.sessions import Session
from medkd.review_server.slices import etag_of
from medkd.review_server.study_page import heat_picture, slice_picture, study_page
from medkd.review_server.web import Services, body_of, fields_of, language_of, page, require_token, see_other, services_of
from medkd.review_server.worklist import STATUSES, Filters, worklist_of

router = APIRouter()
Body = Annotated[bytes, Depends(body_of)]
Plane = Literal["axial", "coronal", "sagittal", "frame"]


@router.get("/")
def worklist(request: Request, status: str = "", modality: str = "", priority: str = "", text: str = "", number: int = 1) -> Response:
    """Return the worklist of who asks."""
    services = services_of(request)
    session = services.require(request)
    filters = Filters(status, modality, priority, text[:80], number)
    found = worklist_of(session.account, services.readings, services.index, filters)
    language = language_of(request)
    kept = {"status": status, "modality": modality, "priority": priority, "text": filters.text}
    chosen = {key: value for key, value in kept.items() if value}
    return page(
        request,
        "worklist.html",
        session=session,
        filters=filters,
        found=found,
        statuses=[(one, text_of(say(f"worklist.status.{one}"), language)) for one in STATUSES],
        priorities=[(str(one), text_of(say(f"worklist.priority.{one}"), language)) for one in (1, 2, 3)],
        modalities=[(one, one) for one in found.modalities],
        previous="/?" + urlencode({**chosen, "number": found.page - 1}),
        following="/?" + urlencode({**chosen, "number": found.page + 1}),
    )


@router.get("/study/{key}")
def study(request: Request, key: str, plane: str = "", slice: int | None = None) -> Response:
    """Return a study: its pictures and the own read; what the models found once that is locked."""
    services = services_of(request)
    session = services.require(request)
    served = services.study(key)
    state = services.readings.state(session.account, served)
    return HTMLResponse(study_page(services, session, served, state, language_of(request), (plane, slice)))


@router.post("/study/{key}/own-read")
def own_read(request: Request, key: str, body: Body) -> Response:
    """Lock an own read; who has locked one already is led to the study, where it stands."""
    services = services_of(request)
    session = services.require(request)
    fields = fields_of(body, session)
    served = services.study(key)
    if services.readings.state(session.account, served).own_read is None:
        answer = first(fields, "read")
        if not 0 < len(answer) <= 80:
            raise DataError("OWN_READ_ANSWER", f"expected an answer in own read, got {len(answer)} characters")
        read = OwnReadAnswer(answer=answer, seconds=_seconds(services, session, fields))
        try:
            services.readings.lock(session.account, served, read, language_of(request))
        except FeedbackError as error:
            if error.code != "OWN_READ_LOCKED":  # a double click: the first answer stands, and is shown
                raise
    return see_other(f"/study/{key}")


def _seconds(services: Services, session: Session, fields: dict[str, list[str]]) -> float:
    """Return the seconds that a page was open: what its script measured, else since we made it."""
    measured = first(fields, "seconds")
    try:
        found = float(measured) if measured else services.since(session, first(fields, "opened"))
    except ValueError:
        found = 0.0
    return round(min(max(found, 0.0), 86_400.0), 1) if found == found else 0.0


@router.post("/study/{key}/feedback")
def feedback(request: Request, key: str, body: Body) -> Response:
    """Keep a judgement: sent by the page's script as JSON, or by a browser without scripts as a form."""
    services = services_of(request)
    session = services.require(request)
    served = services.study(key)
    if request.headers.get("content-type", "").startswith("application/json"):
        require_token(session.csrf, request.headers.get("x-csrf-token", ""))
        form = read_json_form(body)
        entry = services.readings.sign(session.account, served, form)
        return JSONResponse({"ok": True, "entry": entry.digest(), "index": entry.index, "at": entry.at})
    fields = fields_of(body, session)
    state = services.readings.state(session.account, served)
    read = _read_of(state.own_read)
    known = {
        "report": state.shown.digest,
        "study_key": served.report.volume.study_key,
        "seconds_on_page": round(_seconds(services, session, fields) + read.seconds, 1),
        "seconds_with_overlay": 0.0,
        "language": language_of(request),
        "page_version": __version__,
        "own_read": read,
    }
    services.readings.sign(session.account, served, form_of_fields(fields, known))
    return see_other(f"/study/{key}")


def _read_of(own: Entered | None) -> OwnReadAnswer:
    if own is None or not isinstance(own.entry.record, OwnRead):
        raise DataError("OWN_READ_FIRST", f"expected an own read that is locked, got {own}")
    return own.entry.record.read


@router.get("/study/{key}/slice/{plane}/{index}")
def slice_(request: Request, key: str, plane: Plane, index: int, levels: bool = False, image: int = 0) -> Response:
    """Return a slice of an image in full resolution: in its own window, or in grey levels that the page's script windows itself."""
    services = services_of(request)
    services.require(request)
    return _picture(request, slice_picture(services, services.study(key), plane, index, levels, image))


@router.get("/study/{key}/heat/{place}/{explainer}/{role}/{plane}/{index}")
def heat(request: Request, key: str, place: int, explainer: str, role: str, plane: Plane, index: int) -> Response:
    """Return a slice of a map; not before the own read is locked."""
    services = services_of(request)
    session = services.require(request)
    state = services.readings.state(session.account, services.study(key))
    _read_of(state.own_read)
    return _picture(request, heat_picture(services, state.shown, (place, explainer, role), plane, index))


def _picture(request: Request, payload: bytes) -> Response:
    tag = etag_of(payload)
    if tag in [one.strip() for one in request.headers.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers={"ETag": tag})
    return Response(payload, media_type="image/png", headers={"ETag": tag})
