"""MLflow's own page in a real browser: what a reader of our runs sees first."""

from __future__ import annotations

import pytest

from flows.commands.common import mlflow_page
from tests.registry.tracking_process import TrackingProcess

#: A server and a browser: half a minute of two cores.
pytestmark = [pytest.mark.extended, pytest.mark.timeout(600)]


@pytest.fixture
def server(tmp_path, empty_database):
    made = TrackingProcess(tmp_path / "server", empty_database)
    made.start()
    yield made
    made.kill()


def test_our_runs_are_seen_once_model_training_was_chosen_and_by_an_address_that_says_so(server, tmp_path, browser):
    """MLflow 3.17 begins with traces, whatever ``mlflow.experimentKind`` says; where that changes, the sentence of our commands may go."""
    from medkd.registry.interface import LoggedRun
    from medkd.registry.mlflow_registry import MlflowRegistry

    registry = MlflowRegistry(server.uri, artifacts=tmp_path / "unused", experiment="hearts")
    registry.log_experiment("0" * 64, LoggedRun("whole", {"dice": 0.75}), [LoggedRun("arm-of-it", {"dice": 0.5})])
    page = opened(browser, mlflow_page(server.uri))
    page.get_by_role("link", name="hearts").first.click()
    page.wait_for_url("**workflowType=genai**")
    page.goto(mlflow_page(server.uri))
    page.get_by_role("link", name="hearts").first.wait_for()
    page.get_by_text("Model training", exact=True).first.click()
    page.wait_for_function("Object.values(localStorage).some(one => one.includes('machine_learning'))")
    page.reload()
    page.get_by_role("link", name="hearts").first.click()
    page.wait_for_url("**/runs?workflowType=machine_learning**")
    page.get_by_text("whole", exact=True).first.wait_for()
    page = opened(browser, f"{server.uri}/#/experiments/{registry.runs.experiment('hearts')}?workflowType=machine_learning")
    page.get_by_text("whole", exact=True).first.wait_for()


def opened(browser, address):
    """Open an address as somebody who was never there."""
    page = browser.new_context().new_page()
    page.set_default_timeout(60_000)
    page.goto(address)
    return page
