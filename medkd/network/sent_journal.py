"""What of a folder was sent to whom: a small file beside the folder, so that sending again sends nothing twice.

``FOLDER.sent.json`` lies beside the folder and not in it: what is sent may be somebody's, and a published set is not to change. An entry holds for
the same bytes and the same peer alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from data_contracts import OutputError
from data_contracts.private import open_private
from data_contracts.record import partial_path

SUFFIX = ".sent.json"


@dataclass(frozen=True)
class SentObject:
    """What is known of an object at a peer.

    Attributes:
        sha256: of the file that was sent.
        committed: whether the peer has committed itself to keeping it.
    """

    sha256: str
    committed: bool = False


class SentJournal:
    """The journal of one folder.

    Args:
        folder: that is sent.
        peer: that it is sent to, as it is typed.
    """

    def __init__(self, folder: Path, peer: str) -> None:
        whole = folder.resolve()
        self.path, self._peer = whole.with_name(f"{whole.name}{SUFFIX}"), peer
        self._all = self._read()

    def holds(self, instance: str, sha256: str) -> bool:
        """Return whether the peer has these bytes under this identifier."""
        known = self._of_peer().get(instance)
        return known is not None and known["sha256"] == sha256

    def is_committed(self, instance: str) -> bool:
        """Return whether the peer has committed itself to an object."""
        return bool(self._of_peer().get(instance, {}).get("committed"))

    def note(self, instance: str, sent: SentObject) -> None:
        """Remember an object; on the disk when this returns."""
        self._all.setdefault(self._peer, {})[instance] = {"sha256": sent.sha256, "committed": sent.committed}
        partial = partial_path(self.path)
        try:
            with open_private(partial, "w", encoding="utf-8") as stream:
                json.dump(self._all, stream, indent=1, sort_keys=True)
            partial.replace(self.path)
        except OSError as error:
            raise OutputError("OUT_UNWRITABLE", f"expected to write {self.path}, what was sent to whom: {error.strerror}") from error

    def _of_peer(self) -> dict[str, dict[str, object]]:
        return self._all.get(self._peer, {})

    def _read(self) -> dict[str, dict[str, dict[str, object]]]:
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
            return {str(peer): {str(uid): dict(one) for uid, one in sent.items()} for peer, sent in found.items()}
        except (OSError, ValueError, AttributeError, TypeError):  # none yet, or cut off by somebody: the peer is asked what it has
            return {}
