"""Two trainings at once with one GPU of a server's limit, in a process of its own: when each began and ended, as JSON.

``python -m tests.flows.gpu_run FOLDER``
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from data_contracts import MissingDependencyError
from flows.start import start_engine


def main(folder: Path) -> dict[str, Any]:
    """Run without the limit being there, and with it."""
    os.environ["MEDKD_GPU_LIMIT"] = "gpus"
    with start_engine("prefect", folder, workers=2):
        from prefect.client.orchestration import get_client

        from tests.flows.recorded_flows import two_trainings

        try:
            two_trainings()
            refused = ""
        except MissingDependencyError as error:
            refused = str(error)
        with get_client(sync_client=True) as client:
            client.upsert_global_concurrency_limit_by_name("gpus", 1)
        limited = two_trainings()
        del os.environ["MEDKD_GPU_LIMIT"]
        return {"refused": refused, "limited": sorted(limited), "free": sorted(two_trainings())}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]))) + "\n")
