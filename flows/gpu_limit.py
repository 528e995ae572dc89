"""GPUs of several machines or runs, shared by a limit of the Prefect server: a slot is held by a lease, which runs out when its holder dies.

One machine needs none: there a lock file per GPU does the same without a server (``medkd.storage.gpu_slot``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from data_contracts import MissingDependencyError

#: Names the global concurrency limit of the Prefect server that stands for the GPUs; made by ``prefect gcl create NAME --limit N``.
LIMIT = "MEDKD_GPU_LIMIT"
#: Seconds after which the slot of a holder that died is free again.
LEASE_S = 120.0


@contextmanager
def gpu_of_server(slots: int = 1) -> Iterator[None]:
    """Hold slots of the limit that ``MEDKD_GPU_LIMIT`` names, for as long as it takes to get them; without it nothing is held.

    Args:
        slots: one for each process of a training.

    Raises:
        MissingDependencyError: ``GPU_LIMIT_MISSING`` when the server has no such limit: without one nobody would be kept from any GPU.
    """
    name = os.environ.get(LIMIT)
    if not name:
        yield
        return
    from prefect.client.orchestration import get_client
    from prefect.concurrency.sync import concurrency
    from prefect.exceptions import ObjectNotFound

    with get_client(sync_client=True) as client:
        try:
            client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound as error:
            raise MissingDependencyError(
                "GPU_LIMIT_MISSING",
                f"expected a global concurrency limit {name!r} on the Prefect server, there is none; prefect gcl create {name} --limit GPUS",
            ) from error
    with concurrency(name, occupy=slots, strict=True, lease_duration=LEASE_S):
        yield
