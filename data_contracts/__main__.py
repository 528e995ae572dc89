"""Write the JSON Schema of every record: ``python -m data_contracts [FOLDER]`` (default ``docs/schemas``)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import data_contracts


def write_schemas(folder: Path) -> list[Path]:
    """Write one schema file per record, named ``<record>_<version>.json``, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for schema, record in sorted(data_contracts.RECORDS.items()):
        if not schema:
            continue
        path = folder / f"{schema.replace('/', '_')}.json"
        path.write_text(json.dumps(record.model_json_schema(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
        written.append(path)
    return written


if __name__ == "__main__":
    for path in write_schemas(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/schemas")):
        sys.stdout.write(f"{path}\n")
