from __future__ import annotations

import urllib.request

import pytest

from data_contracts import MissingDependencyError
from flows import pages
from flows.pages import serve_pages


@pytest.mark.extended
@pytest.mark.xdist_group("demo")
def test_both_pages_of_a_run_are_served_and_end_with_the_command(smoke):
    said, found = [], []

    def look():
        found.extend(urllib.request.urlopen(line.split()[1].split("#")[0]).status for line in said[:2])

    serve_pages(smoke.folder, said.append, look)
    assert found == [200, 200]
    assert [line.split()[0] for line in said] == ["MLflow", "Prefect", "Ctrl-C"]
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(said[0].split()[1])


def test_a_server_that_ends_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "_mlflow", lambda _: (pages._start(["false"], {}), "http://127.0.0.1:9"))
    with pytest.raises(MissingDependencyError) as caught:
        serve_pages(tmp_path, print)
    assert caught.value.code == "PAGES_NOT_SERVED"
