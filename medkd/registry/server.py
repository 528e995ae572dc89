"""Whether a registry can be asked at all, known in seconds: before heavy libraries are imported, and before MLflow tries for minutes."""

from __future__ import annotations

import http.client
import re
import threading
import urllib.error
import urllib.request
from pathlib import Path

from data_contracts.errors import RegistryError

#: Seconds within which a server must answer before anything is asked of it.
ANSWER_S = 8.0
_SQLITE = b"SQLite format 3\0"


def require_registry(uri: str) -> None:
    """Refuse a server that does not answer, a database that is not there, and a file that is none.

    Args:
        uri: MLflow tracking URI.

    Raises:
        RegistryError: ``REGISTRY_UNREACHABLE`` with what came instead of an answer; ``REGISTRY_MISSING`` for a database that is not there:
            MLflow would make an empty one and find nothing in it; ``REGISTRY_UNREADABLE`` for a file that is no SQLite database.
    """
    require_server(uri)
    if not uri.startswith("sqlite:"):
        return
    path = Path(uri.removeprefix("sqlite:///"))
    try:
        if not path.is_file():
            raise RegistryError(
                "REGISTRY_MISSING", f"expected a registry at {path}, found no file; name the run with --run or a server with --tracking-uri"
            )
        with path.open("rb") as stream:
            begin = stream.read(len(_SQLITE))
    except (OSError, ValueError) as error:
        raise RegistryError("REGISTRY_UNREADABLE", f"expected a registry at {path}, it cannot be read ({error}); name another") from error
    if begin not in (_SQLITE, b""):
        raise RegistryError("REGISTRY_UNREADABLE", f"expected a SQLite database at {path}, the file is none; name the run with --run")


def require_server(uri: str) -> None:
    """Refuse the URI of a server that does not answer: MLflow would try again for minutes.

    Raises:
        RegistryError: ``REGISTRY_UNREACHABLE``, with what came instead.
    """
    if not uri.startswith(("http://", "https://")):
        return
    found: list[str] = []

    def ask() -> None:
        """Note what came: nothing of a server that answers, else why none did."""
        try:
            urllib.request.urlopen(urllib.request.Request(uri, method="GET"), timeout=ANSWER_S / 2).close()
            found.append("")
        except urllib.error.HTTPError:
            found.append("")  # it answers; what it says to a question of ours is seen then
        except (OSError, ValueError, http.client.HTTPException) as error:
            found.append(str(getattr(error, "reason", error)) or type(error).__name__)

    # In a thread: looking up a name has no time limit of its own.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(ANSWER_S)
    why = found[0] if found else f"no answer in {ANSWER_S:.0f} s"
    if why:
        raise RegistryError(
            "REGISTRY_UNREACHABLE", f"expected a tracking server at {shown(uri)}, it cannot be reached ({why}); start it, or name another"
        )


def shown(uri: str) -> str:
    """Return a URI without the password in it."""
    return re.sub(r"//[^/@]*@", "//…@", uri)
