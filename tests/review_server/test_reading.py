from __future__ import annotations

from dataclasses import replace

import pytest
from review_clients import PASSWORD, Browser, one_report, running, with_accounts, write_studies

from data_contracts.feedback import ControlCase, Feedback, OwnRead
from medkd.review.make_controls import make_controls
from medkd.review_server.app import create_app
from medkd.review_server.settings import ServerSettings


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    return write_studies(tmp_path_factory.mktemp("controls") / "reports", 12, lesions=2, shape=(8, 24, 28))


@pytest.fixture(scope="module")
def controls(many, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "controls"
    make_controls(many, folder)
    return folder


@pytest.fixture
def settings(many, controls, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "controls").symlink_to(controls)
    return ServerSettings(many, tmp_path / "data", control_share=0.5)


@pytest.fixture
def services(settings):
    return with_accounts(create_app(settings)).state.services


def drawn(services, name="anna"):
    account = services.accounts.find(name)
    return {key: services.readings.state(account, study).kind for key, study in services.index.all().items()}


def test_control_cases_are_drawn_for_each_reader_and_round_and_stay_drawn(services, settings):
    first = drawn(services)
    assert first == drawn(services)
    assert first == drawn(create_app(settings).state.services), "after a restart too"
    assert first != drawn(services, "ben")
    kinds = [kind for kind in first.values() if kind]
    assert 1 <= len(kinds) <= 11
    services.database.begin_round()
    assert drawn(services) != first


def test_no_share_and_no_control_report_mean_genuine_maps(services, settings, many, tmp_path):
    assert any(drawn(services).values())
    assert set(drawn(create_app(replace(settings, control_share=0.0)).state.services).values()) == {None}
    alone = with_accounts(create_app(ServerSettings(many, tmp_path / "other", control_share=0.5))).state.services
    assert set(drawn(alone).values()) == {None}


def test_what_was_shown_once_is_shown_again_whatever_share_is_set_later(services, settings):
    key, kind = next((key, kind) for key, kind in drawn(services).items() if kind)
    with running(create_app(settings)) as address:
        Browser(address, "anna").read(key)
    later = create_app(replace(settings, control_share=0.0)).state.services
    state = later.readings.state(later.accounts.find("anna"), later.index.find(key))
    assert state.kind == kind
    assert state.shown.digest != later.index.find(key).digest


def test_a_control_case_cannot_be_told_from_a_genuine_one_and_is_in_the_log_before_it_is_shown(services, settings):
    app = create_app(settings)
    control = next(key for key, kind in drawn(services).items() if kind)
    genuine = next(key for key, kind in drawn(services).items() if kind is None)
    with running(app) as address:
        anna = Browser(address, "anna")
        pages = {}
        for key in (control, genuine):
            pages[key] = anna.read(key)
            assert anna.sign(key, anna.filled()).status_code == 200
        heats = {key: anna.client.get(f"/study/{key}/heat/0/grad_cam/student/axial/4") for key in (control, genuine)}
    for key in (control, genuine):
        assert not [word for word in ("control", "mirrored", "other_", "wrong", "genuine") if word in _said(pages[key].text)], key
    assert pages[control].headers.keys() == pages[genuine].headers.keys()
    assert abs(len(pages[control].text) - len(pages[genuine].text)) < 0.05 * len(pages[genuine].text)
    assert heats[control].headers.keys() == heats[genuine].headers.keys()
    records = [entry.record for entry in app.state.services.log.entries()]
    assert [type(one) for one in records[:3]] == [ControlCase, OwnRead, Feedback]
    assert records[0].report == records[1].report == records[2].report != records[0].genuine
    assert [type(one) for one in records[3:]] == [OwnRead, Feedback]


def _said(text: str) -> str:
    """Return a page without the class of its controls and words of anatomy tests that have nothing to do with control cases."""
    return text.replace('class="controls"', "").replace("controls.js", "").replace("form.reason.WRONG", "").replace("WRONG_", "").replace("wrong class", "").replace("wrong extent", "").replace("may be wrong", "")  # fmt: skip


def test_a_report_that_was_made_anew_is_told_to_who_signed_the_earlier_one(tmp_path):
    folder = write_studies(tmp_path / "reports", 1)
    settings = ServerSettings(folder, tmp_path / "data")
    app = with_accounts(create_app(settings))
    with running(app) as address:
        anna = Browser(address, "anna", PASSWORD)
        anna.read("series-000")
        anna.sign("series-000", anna.filled())
    report, _ = one_report(0)
    (folder / "series-000" / "report.json").write_bytes(report.model_copy(update={"window": (0.0, 1.0)}).canonical_json())
    services = create_app(settings).state.services
    assert services.readings.state(services.accounts.find("anna"), services.index.find("series-000")).status == "superseded"
    assert services.readings.state(services.accounts.find("ben"), services.index.find("series-000")).status == "unread"
