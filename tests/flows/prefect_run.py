"""A flow with what ours may meet, run under Prefect in a process of its own; what was recorded is asked of Prefect and printed as JSON.

``python -m tests.flows.prefect_run FOLDER MARK RUNNER WORKERS``
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from data_contracts import StoreError
from flows.start import start_engine


def main(folder: Path, mark: str, runner: str, workers: int) -> dict[str, Any]:
    """Run, and return what Prefect has."""
    with start_engine("prefect", folder, workers=workers, task_runner=runner):
        from tests.flows.recorded_flows import whole

        os.makedirs(mark)
        answers = [whole(mark, True)]
        try:
            whole(mark, False)
        except StoreError as error:
            answers.append([error.code, str(error)])
        return {"answers": answers, **recorded()}


def recorded() -> dict[str, Any]:
    """Return flow runs, task runs, logs and artefacts, once all of them were written down."""
    from prefect.client.orchestration import get_client
    from prefect.logging.handlers import APILogHandler

    APILogHandler().flush()
    with get_client(sync_client=True) as client:
        for _ in range(100):
            tasks = client.read_task_runs()
            if len(tasks) == 4 and all(one.state and one.state.is_final() for one in tasks):
                break
            time.sleep(0.1)
        flows = client.read_flow_runs()
        return {
            "flows": [(one.name, one.state_name, one.parameters, sorted(one.tags)) for one in flows],
            "tasks": [(one.name, one.state_name, one.run_count) for one in tasks],
            "logs": [line.message for line in client.read_logs(limit=200)],
            "artifacts": [(one.key, one.type, str(one.data)) for one in client.read_artifacts()],
        }


if __name__ == "__main__":
    said = main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
    sys.stdout.write(json.dumps(said) + "\n")
