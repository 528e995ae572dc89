"""``python -m tests.tables.hostile``: every command with every hostile thing, in a process of its own each; status, time and peak memory.

Ends with status 1 where a command shows a traceback, calls an error unexpected, or ends with another status than 0 and 2. Names of commands
after it restrict it to these, ``--json`` is for machines. All of it takes about ten minutes on a busy machine of two cores. Processes are forked from one that has imported everything: what is measured is what the input costs.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.hostile import COMMANDS, THINGS, write_things

#: A command that takes longer is ended, and counts as a fault.
MOST_SECONDS = 120


def tried(arguments: tuple[object, ...], said: Path, folder: Path) -> tuple[int, float, float]:
    """Return status, seconds and peak MiB of one call, libraries among them; what it wrote to stderr goes to ``said``."""
    started = time.perf_counter()
    child = os.fork()
    if child == 0:
        import signal

        signal.alarm(MOST_SECONDS)
        folder.mkdir(parents=True)
        os.chdir(folder)
        os.environ |= {"MEDKD_DATA": str(folder), "MEDKD_WORKERS": "0"}
        os._exit(_call(arguments, said))
    _, status, usage = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), time.perf_counter() - started, usage.ru_maxrss / 1024


def _call(arguments: tuple[object, ...], said: Path) -> int:
    from flows.cli import main

    sys.argv = ["medkd", *map(str, arguments)]
    errors, status = io.StringIO(), 0
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        try:
            main()
        except SystemExit as stopped:
            status = int(stopped.code or 0)
        except BaseException as error:
            errors.write(f"Traceback: {type(error).__name__}: {error}")
            status = 1
    said.write_text(errors.getvalue(), encoding="utf-8", errors="replace")
    return status


def _import_everything() -> None:
    import flows.commands.data
    import flows.commands.explaining
    import flows.commands.learning
    import flows.pipeline
    import flows.replay
    import flows.run_study  # noqa: F401
    import medkd.dicom.confidentiality.publish
    import medkd.registry.mlflow_registry  # noqa: F401


def table(wanted: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """Yield a row per command (all, where none is named): inputs, statuses, faults, and the slowest and the largest of them."""
    _import_everything()
    from medkd.registry.mlflow_registry import MlflowRegistry

    with tempfile.TemporaryDirectory(prefix="hostile-") as scratch:
        root = Path(scratch)
        (root / "things").mkdir()
        things = write_things(root / "things")
        database = root / "registry" / "mlflow.db"
        database.parent.mkdir()
        MlflowRegistry(f"sqlite:///{database}", artifacts=root / "artifacts")
        for command, typed in COMMANDS.items():
            if wanted and command not in wanted:
                continue
            statuses: Counter[int] = Counter()
            faults: list[str] = []
            slowest, largest = (0.0, ""), (0.0, "")
            for place, thing in enumerate(THINGS):
                # An output below a folder, or below nothing, is a sound one.
                if command.endswith("--out") and not (things / thing).is_file():
                    continue
                said = root / "said"
                folder = root / "calls" / command.replace(" ", "_") / str(place)
                status, seconds, mib = tried(typed(things / thing, f"sqlite:///{database}", things / "folder"), said, folder)
                statuses[status] += 1
                errors = said.read_text(encoding="utf-8") if said.is_file() else "no answer"
                said.unlink(missing_ok=True)
                if status not in (0, 2) or "Traceback" in errors or "UNEXPECTED" in errors:
                    faults.append(
                        f"{thing}: status {status}, {errors.strip().splitlines()[-1][:200] if errors.strip() else 'said nothing'}"
                    )
                slowest, largest = max(slowest, (seconds, thing)), max(largest, (mib, thing))
            yield {
                "command": command,
                "inputs": statuses.total(),
                "statuses": {str(status): count for status, count in sorted(statuses.items())},
                "faults": faults,
                "slowest_s": round(slowest[0], 2),
                "slowest": slowest[1],
                "peak_mib": round(largest[0]),
                "largest": largest[1],
            }


def main() -> int:
    """Print the table, a line as soon as it is known; return 1 where there is a fault."""
    as_json, wanted = "--json" in sys.argv, [one for one in sys.argv[1:] if one != "--json"]
    if not as_json:
        print(f"{'command':<20}{'inputs':>7}{'status 0':>9}{'status 2':>9}{'faults':>7}   slowest             peak memory", flush=True)
    faulty = False
    for row in table(wanted):
        faulty |= bool(row["faults"])
        if as_json:
            print(json.dumps(row, ensure_ascii=False), flush=True)
            continue
        counts = f"{row['inputs']:>7}{row['statuses'].get('0', 0):>9}{row['statuses'].get('2', 0):>9}{len(row['faults']):>7}"
        slow, large = f"{row['slowest_s']:>6.2f} s {row['slowest']:<10}", f"{row['peak_mib']:>5} MiB {row['largest']}"
        print("\n".join([f"{row['command']:<20}{counts}   {slow} {large}", *(f"  FAULT {fault}" for fault in row["faults"])]), flush=True)
    return int(faulty)


if __name__ == "__main__":
    sys.exit(main())
