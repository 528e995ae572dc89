"""What is refused is kept as it came, with its reason and the command that judges it again."""

from __future__ import annotations

import json
import subprocess
import sys

from medkd.dicom.ingest import IngestRequest, ingest
from medkd.phantom.dicom_faults import write_case


def test_the_command_that_a_reason_names_works_from_anywhere(tmp_path):
    source = tmp_path / "Jane's scans"
    write_case(source, "gantry_tilt")
    ingest(IngestRequest(source, tmp_path / "store"), secret=b"k")
    reason = json.loads(next((tmp_path / "store" / "quarantine").rglob("reason.json")).read_text())
    command = reason["reproduce"].replace("medkd ", f"{sys.executable} -m flows.cli ", 1)
    done = subprocess.run(["sh", "-c", command], cwd="/", capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["codes"] == {"GANTRY_TILT": 14}
