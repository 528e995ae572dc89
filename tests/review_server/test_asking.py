"""Questions about a place, from the page of a study to a worker with the model and back."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image
from review_clients import Browser, running, with_accounts

from data_contracts import Entry, ExplanationRequest
from medkd.explanation import answer_questions
from medkd.explanation.answer_questions import QuestionWorker
from medkd.explanation.explain_study import StudyImages, explain_study
from medkd.review.compose_report import compose_report
from medkd.review.orientation_marks import views_of
from medkd.review.shown import StudyArrays
from medkd.review.study_file import NAME, write_study_file
from medkd.review_server.app import create_app
from medkd.review_server.asking import MARKED
from medkd.review_server.settings import ServerSettings
from medkd.storage.store import Store
from tests.explanation.studies import bright_model, bright_volume
from tests.registry.memory_registry import MemoryRegistry

KEY, PLACE = "s1", {"slice": "7", "row": "9", "column": "10"}


@pytest.fixture(scope="module")
def explained(tmp_path_factory):
    """Return folders of reports and store with a study that the bright model explained."""
    folder = tmp_path_factory.mktemp("asked")
    values, volume = bright_volume(folder / "store", [np.s_[4:9, 5:12, 6:14]])
    made = explain_study(StudyImages(values, volume), bright_model(), ExplanationRequest(explainers=(Entry(name="input_times_gradient"),)))
    arrays = StudyArrays(values.numpy(), ({name: one.numpy() for name, one in made.arrays.items()},))
    report = compose_report((made.record,), arrays)
    report.write(folder / "reports" / KEY / "report.json")
    write_study_file(folder / "reports" / KEY / NAME, report, arrays)
    return folder


@pytest.fixture
def asking(explained, tmp_path, monkeypatch):
    """Return the maker of a reader at a server of that study, and of the worker of its questions."""
    monkeypatch.setattr(answer_questions, "ask_registry", lambda *_: bright_model())
    started = []

    def start(**changes):
        app = with_accounts(create_app(ServerSettings(explained / "reports", tmp_path / "data", **changes)))
        server = running(app)
        reader = Browser(server.__enter__(), "anna")
        started.append(server)
        queue = app.state.services.questions.queue
        return reader, QuestionWorker(queue, explained / "reports", Store(explained / "store"), MemoryRegistry())

    yield start
    for server in started:
        server.__exit__(None, None, None)


def ask(reader, **changes):
    model = re.search(r'<select name="model"><option value="([0-9a-f]{64})"', reader.page.text)[1]
    return reader.post(f"/study/{KEY}/ask", **{**PLACE, "class": "", "model": model, **changes})


def test_a_place_is_asked_about_and_the_answer_is_shown_where_it_lies(asking, tmp_path):
    reader, worker = asking()
    assert "No worker is there" in reader.read(KEY).text
    waiting = ask(reader)
    assert "Waiting; 0 questions" in waiting.text
    assert 'http-equiv="refresh"' in waiting.text
    assert worker.answer_next()
    answered = reader.get(str(waiting.url))
    assert "slice 7, row 9, column 10, asked of m/1" in answered.text
    assert "The map is highest at slice 7, row 9, column 10." in answered.text
    assert 'http-equiv="refresh"' not in answered.text
    address = re.search(r'<img src="([^"]+)"', answered.text)[1]
    picture = np.asarray(Image.open(io.BytesIO(reader.client.get(address).content)))
    assert picture.shape == (24, 28, 3)
    ring = np.argwhere((picture == MARKED).all(-1))
    view = next(one for one in views_of(bright_volume(tmp_path, [])[1].geometry) if one.axis == 0)
    asked = np.zeros((1, 24, 28), bool)
    asked[0, 8, 9] = True
    assert ring.mean(0).tolist() == np.argwhere(view.slice_of(asked, 0))[0].tolist()
    coloured = np.argwhere((picture.max(-1).astype(int) - picture.min(-1) > 60) & ~(picture == MARKED).all(-1))
    assert len(coloured) >= 1
    assert abs(coloured.mean(0) - ring.mean(0)).max() < 1, "what supports the voxel lies round it"


def test_the_same_question_is_listed_and_answered_once(asking):
    reader, worker = asking()
    reader.read(KEY)
    first = str(ask(reader).url)
    worker.answer_next()
    page = reader.get(f"/study/{KEY}")
    assert page.text.count("/asked/") == 1
    assert "No worker is there" not in page.text
    assert str(ask(reader).url) == first
    assert not worker.answer_next()


def test_nothing_is_asked_or_shown_before_the_own_read(asking, explained):
    reader, worker = asking()
    page = reader.get(f"/study/{KEY}")
    assert 'id="ask"' not in page.text
    assert reader.post(f"/study/{KEY}/ask", **PLACE, model="0" * 64).status_code == 409
    reader.read(KEY)
    address = str(ask(reader).url)
    worker.answer_next()
    other = Browser(reader.address, "ben")
    assert other.get(address).status_code == 409
    assert other.get(f"{address}/student/6").status_code == 409


def test_where_maps_are_wrong_on_purpose_only_who_has_signed_may_ask(asking):
    """An answer would tell which reports are: it is made by the model, and the wrong map is not."""
    reader, _ = asking(control_share=0.1)
    assert "once you have signed" in reader.read(KEY).text
    assert reader.post(f"/study/{KEY}/ask", **PLACE, model="0" * 64).status_code == 409
    reader.get(f"/study/{KEY}")
    assert reader.sign(KEY, reader.filled()).status_code == 200
    reader.get(f"/study/{KEY}")
    assert ask(reader).status_code == 200


@pytest.mark.parametrize(
    ("changes", "status"),
    [({"slice": "0"}, 422), ({"row": "99"}, 422), ({"column": "-1"}, 422), ({"slice": "<b>"}, 422), ({"model": "0" * 64}, 422), ({"class": "dark"}, 422), ({"csrf": "x"}, 403)],
)  # fmt: skip
def test_what_cannot_be_asked_is_said_and_asks_nothing(asking, changes, status):
    reader, worker = asking()
    reader.read(KEY)
    answer = ask(reader, **changes)
    assert answer.status_code == status
    assert "<b>" not in answer.text
    assert not worker.answer_next()


def test_a_refusal_of_the_worker_is_shown(asking, monkeypatch):
    reader, worker = asking()
    reader.read(KEY)
    address = str(ask(reader).url)
    other = bright_model()
    changed = type(other)(other.model.model_copy(update={"manifest_digest": "c" * 64}), other.checkpoint, other.network)
    monkeypatch.setattr(answer_questions, "ask_registry", lambda *_: changed)
    worker.answer_next()
    text = reader.get(address).text
    assert "REPLAY_MODEL" in text
    assert "<img" not in text
    assert reader.client.get(f"{address}/student/6").status_code == 404


def test_an_altered_answer_is_not_shown(asking):
    reader, worker = asking()
    reader.read(KEY)
    address = str(ask(reader).url)
    worker.answer_next()
    (kept,) = worker._queue.folder.joinpath("explanations").glob("*/maps.safetensors")
    data = bytearray(kept.read_bytes())
    data[-1] ^= 1
    kept.write_bytes(data)
    assert reader.get(address).status_code == 500
    assert reader.client.get(f"{address}/student/6").status_code == 500


def test_answers_are_in_the_readers_language(asking):
    reader, worker = asking()
    reader.read(KEY)
    address = str(ask(reader).url)
    worker.answer_next()
    reader.get("/language/zh?next=/")
    assert "这里有什么支持它？" in reader.get(address).text
    for unknown in (f"/study/{KEY}/asked/{'0' * 64}", f"/study/{KEY}/asked/x", f"{address}/teacher/6", f"{address}/student/99"):
        assert reader.get(unknown).status_code == 404
