"""Questions about a place: asked from the page of a study, shown on a page of their own."""

from __future__ import annotations

import io
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from PIL import Image

from data_contracts import DataError, ExplanationAnswer
from medkd.review.texts import recognise, say, text_of
from medkd.review_server.asking import picture_of, words_of
from medkd.review_server.forms import first
from medkd.review_server.slices import etag_of
from medkd.review_server.studies import ServedStudy
from medkd.review_server.web import Services, body_of, fields_of, language_of, page, see_other, services_of

router = APIRouter()
Body = Annotated[bytes, Depends(body_of)]
#: Seconds after which a page whose answer is not there yet looks again.
AGAIN_S = 2


@router.post("/study/{key}/ask")
def ask(request: Request, key: str, body: Body) -> Response:
    """Ask, and lead to the page of the answer."""
    services = services_of(request)
    session = services.require(request)
    fields = fields_of(body, session)
    study = services.study(key)
    places = [first(fields, name) for name in ("slice", "row", "column")]
    if not all(one.isascii() and one.isdigit() and len(one) < 6 for one in places):
        raise DataError(
            "ASK_PLACE", f"expected whole numbers in slice, row and column, got {', '.join(str(len(one)) for one in places)} characters"
        )
    place = (int(places[0]) - 1, int(places[1]) - 1, int(places[2]) - 1)
    state = services.readings.state(session.account, study)
    name = services.questions.ask(study, state, first(fields, "model"), place, first(fields, "class"))
    return see_other(f"/study/{key}/asked/{name}")


@router.get("/study/{key}/asked/{name}")
def asked(request: Request, key: str, name: str, slice: int | None = None) -> Response:
    """Return a question and, once it is there, its answer."""
    services, language = services_of(request), language_of(request)
    session = services.require(request)
    study = services.study(key)
    _require_open(services, request, study)
    question, state = services.questions.found(study, name)
    answer, place = state.answer, tuple(at + 1 for at in question.place)
    explained = answer is not None and not answer.code
    words = words_of(services.questions.record(answer)) if answer is not None and explained else {}
    model = next((f"{one.model.name}/{one.model.version}" for one in study.report.explanations if one.digest() == question.explanation), "")
    count = study.report.volume.geometry.shape[0]
    where = say("ask.place", slice=place[0], row=place[1], column=place[2])
    peak = words.get("peak")
    return page(
        request,
        "asked.html",
        session=session,
        study=study,
        model=model,
        where=where,
        asked_class="" if question.class_name is None else text_of(recognise(question.class_name), language),
        state=state,
        answer=answer,
        words=words,
        peak=None if peak is None else say("ask.place", slice=peak[0], row=peak[1], column=peak[2]),
        failed=text_of(recognise(words["failed"]), language) if words.get("failed") else "",
        again=AGAIN_S,
        index=min(max(question.place[0] if slice is None else slice, 0), count - 1),
        count=count,
        question_id=name,
    )


@router.get("/study/{key}/asked/{name}/{role}/{index}")
def asked_picture(request: Request, key: str, name: str, role: Literal["student", "teacher"], index: int) -> Response:
    """Return a slice under the map of an answer."""
    services = services_of(request)
    study = services.study(key)
    _require_open(services, request, study)
    answer = services.questions.found(study, name)[1].answer
    if answer is None or answer.code:
        raise DataError("UNKNOWN", f"expected a question that was answered, got one that is {services.questions.queue.state(name).status}")
    payload = services.pictures.get(
        (study.digest, "asked", name, answer.explanation, role, index), lambda: _png(services, study, answer, role, index)
    )
    return Response(payload, media_type="image/png", headers={"ETag": etag_of(payload)})


def _png(services: Services, study: ServedStudy, answer: ExplanationAnswer, role: str, index: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture_of(services.questions, study, answer, role, index)).save(stream, format="PNG", compress_level=2)
    return stream.getvalue()


def _require_open(services: Services, request: Request, study: ServedStudy) -> None:
    """Refuse answers to whoever may not ask: they show what a model uses."""
    session = services.require(request)
    state = services.readings.state(session.account, study)
    if not services.questions.may_ask(state):
        raise DataError("ASK_NOT_YET", f"expected the own read and the sign-off before an answer is shown, this study is {state.status}")
