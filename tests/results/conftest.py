from __future__ import annotations

import pytest

from medkd.results.ohif.reader import SETTING, version
from medkd.results.write_results import write_results
from tests.results.explained import BOXES, explained_study


@pytest.fixture(autouse=True)
def without_ohif(request, monkeypatch, tmp_path):
    """Leave OHIF's reader out where a test is not about it: its packages take two seconds to load."""
    if "ohif" not in request.fixturenames:
        monkeypatch.setenv(SETTING, str(tmp_path / "absent"))


@pytest.fixture
def ohif():
    """Ask OHIF's reader too, where it is installed; return whether it is."""
    return version() is not None


@pytest.fixture(scope="module")
def written_study(tmp_path_factory):
    """Return an explained study and the set of results that was written of it, for tests that only read: folder, set, and its place."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("written")
        patch.setenv(SETTING, str(folder / "absent"))
        explanation, values, files = explained_study(folder)
        found, place = write_results(explanation, values, files, folder / "out")
    return explanation, found, place


@pytest.fixture
def study(tmp_path):
    """Return a maker of an explained study: folder of the explanation, values, DICOM files."""

    def make(turn=((0, 0, 2.0), (0, 2.0, 0), (2.0, 0, 0)), boxes=BOXES):
        return explained_study(tmp_path, boxes, turn=turn)

    return make
