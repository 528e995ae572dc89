"""Shards of a knowledge store: safetensors files of packed entries, memory-mapped, each found by the digest of what it is about."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import NDArray

from data_contracts import KnowledgeError, Ref, StoreError
from medkd.storage.store import Store, write_bytes

FORMAT = "medkd-knowledge/1"
#: Entries of a shard: what an interruption may cost.
ENTRIES = 64


def write_shard(path: Path, entries: Mapping[str, Mapping[str, bytes]], *, query_digest: str) -> None:
    """Write entries (hex digest → part → bytes), all with the same parts, by atomic rename.

    Args:
        path: of the shard.
        entries: at least one.
        query_digest: digest of what all entries share (teacher, task, configuration).
    """
    parts = list(next(iter(entries.values())))
    payloads = [entry[part] for entry in entries.values() for part in parts]
    ends = torch.tensor([len(payload) for payload in payloads]).cumsum(0).reshape(len(entries), len(parts))
    # One entry of metadata: several would be written in an order that changes from run to run, and with it the digest.
    tensors = {
        "keys": torch.frombuffer(bytearray(b"".join(bytes.fromhex(key) for key in entries)), dtype=torch.uint8).reshape(-1, 32),
        "ends": ends.to(torch.uint32) if int(ends[-1, -1]) < 2**32 else ends,
        "payload": torch.frombuffer(bytearray(b"".join(payloads) or b"\0"), dtype=torch.uint8),
    }
    write_bytes(path, safetensors.torch.save(tensors, metadata={FORMAT: json.dumps({"about": query_digest, "parts": parts})}))


class Shard:
    """One shard, its payload mapped into memory and read where it is asked for.

    Args:
        path: of the file.
        query_digest: digest that it must carry; None takes any.

    Raises:
        KnowledgeError: ``KNOWLEDGE_FOREIGN`` when it is about another teacher, task or configuration.
        StoreError: ``KNOWLEDGE_UNREADABLE`` when it is no shard.
    """

    def __init__(self, path: Path, *, query_digest: str | None = None) -> None:
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                found = (file.metadata() or {}).get(FORMAT)
                tensors = {} if found is None else {name: file.get_tensor(name) for name in ("keys", "ends", "payload")}
        except (safetensors.SafetensorError, OSError) as error:
            raise StoreError("KNOWLEDGE_UNREADABLE", f"expected a shard of knowledge at {path.name}: {error}") from error
        if found is None:
            raise StoreError("KNOWLEDGE_UNREADABLE", f"expected a shard of the format {FORMAT} at {path.name}, it is none")
        metadata = json.loads(found)
        if query_digest is not None and metadata["about"] != query_digest:
            raise KnowledgeError(
                "KNOWLEDGE_FOREIGN",
                f"expected knowledge about {query_digest[:12]} in {path.name}, it is about {metadata['about'][:12]}: another teacher, task or configuration",
            )
        self.parts: tuple[str, ...] = tuple(metadata["parts"])
        self.keys = [bytes(row).hex() for row in tensors["keys"].numpy()]
        self._ends: NDArray[np.int64] = tensors["ends"].to(torch.int64).flatten().numpy()
        self._payload = tensors["payload"].numpy()

    def read(self, row: int, part: str) -> memoryview:
        """Return the bytes of one part of one entry."""
        place = row * len(self.parts) + self.parts.index(part)
        begin = 0 if place == 0 else int(self._ends[place - 1])
        return memoryview(self._payload)[begin : int(self._ends[place])]


class ShardReader:
    """All shards of one knowledge: entries by digest.

    Args:
        store: where the shards lie.
        refs: the shards; their bytes are verified.
        query_digest: what they must be about.

    Raises:
        StoreError: ``KNOWLEDGE_ALTERED`` when a shard is missing or its bytes differ from their digest.
    """

    def __init__(self, store: Store, refs: Sequence[Ref], *, query_digest: str) -> None:
        for ref in refs:
            if not store.verify(ref):
                raise StoreError(
                    "KNOWLEDGE_ALTERED", f"expected knowledge with sha256 {ref.sha256[:12]} at {ref.key}, it is missing or altered"
                )
        self._shards = [Shard(store.path(ref), query_digest=query_digest) for ref in refs]
        self._places = {key: (shard, row) for shard in self._shards for row, key in enumerate(shard.keys)}

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def read(self, key: str, part: str) -> memoryview:
        """Return the bytes of one part of an entry.

        Raises:
            KnowledgeError: ``KNOWLEDGE_MISSING`` when there is no such entry or part.
        """
        if key not in self._places:
            raise KnowledgeError(
                "KNOWLEDGE_MISSING", f"expected an entry {key[:12]}, this store has none: other images, or another preparation"
            )
        shard, row = self._places[key]
        if part not in shard.parts:
            raise KnowledgeError(
                "KNOWLEDGE_MISSING", f"expected {part!r} to be stored, this store holds {list(shard.parts)}: extract it again"
            )
        return shard.read(row, part)


def finished_keys(path: Path, query_digest: str) -> list[str] | None:
    """Return the keys of a shard that an interrupted extraction finished; None when there is none that is whole and of the same kind."""
    if not path.is_file():
        return None
    try:
        return Shard(path, query_digest=query_digest).keys
    except (StoreError, KnowledgeError):
        return None
