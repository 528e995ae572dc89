"""Commands that are printed for a person to copy: complete, quoted, and found from any shell."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path


def command_line(program: str, *arguments: str | Path) -> str:
    """Return a command that works as it is printed.

    The bare name is printed only where the shell would find this environment's program by it: people run ``medkd`` by its path or
    from an environment that is not activated, and another ``mlflow`` on the path may not read this registry.
    """
    own = Path(sys.executable).parent / program
    found = shutil.which(program)
    if found is not None and (not own.exists() or Path(found).samefile(own)):
        begin = [program]
    elif own.exists():
        begin = [str(own)]
    else:
        begin = [sys.executable, "-m", "flows.cli" if program == "medkd" else program]
    return shlex.join([*begin, *map(str, arguments)])
