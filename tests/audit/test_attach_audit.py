"""An audit lies beside its version, its digest as a tag; the newest counts."""

from __future__ import annotations

import pytest

from data_contracts import NetworkSpec
from medkd.audit.attach_audit import attach_audit, attach_to_version
from medkd.audit.write_audit import write_audit
from medkd.promotion.version_records import read_version
from medkd.registry.interface import resolve
from medkd.registry.publish import open_registry
from medkd.storage.workspace import local_workspace
from tests.audit.conftest import TASK
from tests.registered import register_tiny


@pytest.fixture(scope="module")
def registered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attached") / "run"
    uri = register_tiny(folder, TASK, NetworkSpec(builder="resnet", options={"channels": (2, 2, 2, 2)}))
    return folder, uri


def test_it_is_attached_once_and_read_back(registered, audits, tmp_path):
    folder, uri = registered
    registry = open_registry(local_workspace(folder))
    model, report = resolve(registry, uri), audits["clean"].report
    write_audit(audits["clean"], tmp_path)
    assert attach_audit(registry, model, report, tmp_path)
    assert not attach_audit(registry, model, report, tmp_path)
    records = read_version(registry, uri)
    assert records.audit == report
    assert records.audit_digest == report.digest()
    assert records.problems == ()
    path = registry.fetch_attached(uri, "audit/audit.png")
    assert path is not None


def test_the_newest_counts_and_an_altered_one_is_none(registered, audits, tmp_path):
    folder, uri = registered
    workspace = local_workspace(folder)
    write_audit(audits["biased"], workspace.root)
    assert attach_to_version(workspace, uri, audits["biased"].report)
    registry = open_registry(workspace)
    assert read_version(registry, uri).audit == audits["biased"].report
    registry.attach(resolve(registry, uri), {}, {"medkd.audit": "0" * 64})
    records = read_version(registry, uri)
    assert records.audit is None
    assert "its shortcut audit is" in records.problems[0]
