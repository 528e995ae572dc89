"""A study's page and its pictures, as they are given to one reader at one time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_contracts import DataError
from data_contracts.feedback import Feedback, OwnRead
from medkd.explanation.wording import failed_mark
from medkd.pictures.colours import grey, heat
from medkd.review.form import FormContext, answered, form_findings
from medkd.review.orientation_marks import View, views_of
from medkd.review.page_data import PageData
from medkd.review.page_images import images_of
from medkd.review.render_served import ServedPage, plain_slices, render_served
from medkd.review.served_data import map_names, served_data, study_greys
from medkd.review.shown import shown_in
from medkd.review.study_file import StudyFile
from medkd.review_server.png import encode_png
from medkd.review_server.reading import ReadState
from medkd.review_server.sessions import Session
from medkd.review_server.studies import ServedStudy
from medkd.review_server.web import Services, new_form


def study_page(
    services: Services, session: Session, study: ServedStudy, state: ReadState, language: str, at: tuple[str, int | None]
) -> str:
    """Return the page of a study for a reader.

    Args:
        services: of the server.
        session: of the reader.
        study: as the worklist names it.
        state: how far the reader is with it.
        language: that the page begins in.
        at: plane and slice that are shown without scripts.
    """
    base = f"/study/{study.key}"
    own = state.own_read.entry.record if state.own_read is not None else None
    read = own.read if isinstance(own, OwnRead) else None
    data = _data(services, state.shown, base, locked=read is not None)
    opened = services.opened(session)
    served = ServedPage(
        base,
        language,
        opened,
        "" if read is None else read.answer,
        plain_slices(study.report, *at),
        services.questions.form(study, state, session),
    )
    outlines = [] if read is None else list(services.arrays(state.shown).masks)
    form = FormContext(
        form_findings(state.shown.report) if read is not None else (),
        action=f"{base}/feedback",
        form_id=new_form(),
        csrf=session.csrf,
        hidden=(),
        seconds=0.0 if read is None else read.seconds,
    )
    said = None if state.judgement is None else state.judgement.entry.record
    if state.judgement is not None and isinstance(said, Feedback):
        form = answered(form, said, digest=state.judgement.digest, at=state.judgement.entry.at)
    return render_served(state.shown.report, data, outlines, _with_hidden(form, opened), served)


def _with_hidden(form: FormContext, opened: str) -> FormContext:
    """Return a form with the fields that it sends without scripts."""
    return replace(form, hidden=(("csrf", form.csrf), ("form", form.form_id), ("opened", opened), ("supersedes", form.supersedes)))


def _data(services: Services, shown: ServedStudy, base: str, *, locked: bool) -> PageData:
    key = (shown.digest, base, locked)
    return services.page_data(key, partial(served_data, shown.report, services.arrays(shown), base, locked=locked))


def slice_picture(services: Services, study: ServedStudy, plane: str, index: int, levels: bool, image: int = 0) -> bytes:
    """Return a slice as PNG, in full resolution, turned as the plane is drawn.

    Raises:
        DataError: ``UNKNOWN`` for a plane, a slice or an image that the study does not have.
    """
    if not 0 <= image < len(images_of(study.report.explanations)):
        raise DataError(
            "UNKNOWN", f"expected one of the {len(images_of(study.report.explanations))} images of the study, got number {image}"
        )

    def make() -> bytes:
        """Return the PNG of one slice."""
        view, arrays = _view(study, plane, index), services.arrays(study)
        table = services.tables.get((study.digest, levels, image), lambda: arrays.table(_shade(study, arrays, levels, image), image))
        codes = _drawn(view, arrays.codes(view.axis, index, image))
        return encode_png(table[codes.view(np.uint16)])

    return services.pictures.get((study.digest, "slice", plane, index, levels, image), make)


def _shade(study: ServedStudy, arrays: StudyFile, levels: bool, image: int) -> Callable[[NDArray[np.float32]], NDArray[np.uint8]]:
    """Return how values of an image become greys: the levels that a page windows itself, or the first of its windows."""
    greys = study_greys(study.report, arrays, image)
    _, low, high = greys.windows[0]
    return greys.levels.encode if levels else partial(grey, window=(low, high))


def heat_picture(services: Services, study: ServedStudy, which: tuple[int, str, str], plane: str, index: int) -> bytes:
    """Return a slice of a map as PNG, coloured as the page's scale says.

    Args:
        services: of the server.
        study: that is shown to the reader.
        which: place of the finding among those that have maps, explainer, role.
        plane: name of the plane.
        index: of the slice.

    Raises:
        DataError: ``UNKNOWN``.
    """
    place, explainer, role = which
    shown = shown_in(study.report)
    if not 0 <= place < len(shown) or explainer not in shown[place].explainers:
        raise DataError("UNKNOWN", f"expected a finding and an explainer of the report, got number {place}")
    names = map_names(shown[place], explainer)
    if role not in names and (role != "difference" or len(names) < 2):
        raise DataError("UNKNOWN", f"expected one of {', '.join(names)}, got {len(role)} other characters")

    def make() -> bytes:
        """Return the PNG of the map on one slice."""
        view, arrays = _view(study, plane, index), services.arrays(study)
        limit = max(arrays.limit(name) for name in names.values())
        planes = {one: _drawn(view, arrays.map_plane(name, view.axis, index)) for one, name in names.items()}
        values = planes["student"] - planes["teacher"] if role == "difference" else planes[role]
        explanation = shown[place].explanation
        failed = failed_mark(explanation.failed_checks(explainer), explanation.structures)
        return encode_png(heat(values, limit, failed=bool(failed)))

    return services.pictures.get((study.digest, "heat", *which, plane, index), make)


def _view(study: ServedStudy, plane: str, index: int) -> View:
    volume = study.report.volume
    found = next((one for one in views_of(volume.geometry) if one.name == plane), None)
    if found is None or not 0 <= index < volume.geometry.shape[found.axis]:
        raise DataError("UNKNOWN", f"expected a slice of the study, got number {index} of a plane of {len(plane)} letters")
    return found


def _drawn(view: View, plane: NDArray[Any]) -> NDArray[Any]:
    """Return a plane as it is drawn: turned as :meth:`View.slice_of` does, which takes a volume."""
    turned = plane if view.down < view.right else plane.T
    return turned[:: -1 if view.flip_down else 1, :: -1 if view.flip_right else 1]
