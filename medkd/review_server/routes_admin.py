"""What administrators see and do, and the questionnaire at the end of a round."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from data_contracts.feedback import ScaleAnswers
from medkd.feedback.agreement import agreement_of_readers, reliance_by_round
from medkd.review_server.administration import progress_of, score_of
from medkd.review_server.forms import first
from medkd.review_server.web import body_of, fields_of, language_of, page, see_other, services_of

router = APIRouter()
Body = Annotated[bytes, Depends(body_of)]
STATEMENTS = range(1, 11)


@router.get("/admin")
def admin_page(request: Request) -> Response:
    """Return progress, reliance and agreement."""
    services = services_of(request)
    session = services.require(request, administrator=True)
    entries = services.log.entries()  # every byte verified anew
    studies, round_ = services.index.all(), services.database.round
    return page(
        request,
        "admin.html",
        session=session,
        round=round_,
        studies=len(studies),
        progress=progress_of(services.readings, services.accounts.all(), round_),
        reliance=reliance_by_round(entries),
        agreement=agreement_of_readers(entries),
        share=f"{services.settings.control_share:.0%}",
        ready=sum(any(services.readings.controls_ready(one)) for one in studies.values()),
        entries=len(entries),
    )


@router.post("/admin/round")
def begin_round(request: Request, body: Body) -> Response:
    """Begin the round after the one that the page showed: a double click begins one."""
    services = services_of(request)
    fields = fields_of(body, services.require(request, administrator=True))
    if first(fields, "after") == str(services.database.round):
        services.database.begin_round()
    return see_other("/admin")


@router.get("/scale")
def scale_page(request: Request) -> Response:
    """Return the questionnaire of the open round."""
    return _scale(request, 200, {}, "")


def _scale(request: Request, status: int, given: dict[int, int], missing: str) -> Response:
    services = services_of(request)
    session = services.require(request)
    round_ = services.database.round
    known = services.readings.scale_of(session.account, round_)
    record = None if known is None else known.entry.record
    score = score_of(record.answers) if isinstance(record, ScaleAnswers) else ""
    return page(request, "scale.html", status=status, session=session, round=round_, score=score, given=given, missing=missing)


@router.post("/scale")
def answer_scale(request: Request, body: Body) -> Response:
    """Keep a reader's answers to the questionnaire."""
    services = services_of(request)
    session = services.require(request)
    fields = fields_of(body, session)
    texts = {number: first(fields, f"answer.{number}") for number in STATEMENTS}
    given = {number: int(text) for number, text in texts.items() if text in ("1", "2", "3", "4", "5")}
    missing = [str(number) for number in STATEMENTS if number not in given]
    if missing:
        return _scale(request, 422, given, ", ".join(missing))
    answers = tuple(given[number] for number in STATEMENTS)
    services.readings.answer_scale(session.account, answers, "zh" if language_of(request) == "zh" else "en")
    return see_other("/scale")
