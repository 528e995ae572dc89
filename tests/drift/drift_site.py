"""A registry with a tiny model, a store of studies for its reference, and a site whose worklist that model has read: all of it real."""

from __future__ import annotations

import functools
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

import medkd
from data_contracts import NetworkSpec
from flows.run_champion import run_champion
from flows.site import Site
from medkd.phantom.dicom_studies import write_phantom_dicom
from medkd.registry.interface import Registry
from medkd.registry.publish import open_registry
from medkd.storage.workspace import Workspace, local_workspace
from tests.drift.phantom_drift import TASK
from tests.registered import register_tiny

STUDIES = 3


@dataclass(frozen=True)
class DriftSite:
    """What lies there.

    Attributes:
        run: folder of the run whose registry holds the model.
        uri: of the model.
        store: of the studies of its reference.
        site: with as many others on its worklist.
    """

    run: Path
    uri: str
    store: Path
    site: Site

    @property
    def workspace(self) -> Workspace:
        return local_workspace(self.run)

    @property
    def registry(self) -> Registry:
        return open_registry(self.workspace)


@functools.cache
def drift_site() -> DriftSite:
    """Make it, once for all tests of a process."""
    folder = Path(tempfile.mkdtemp(prefix="medkd-drift-"))
    network = NetworkSpec(builder="unet", options={"channels": (4, 8)})
    uri = register_tiny(folder / "run", TASK, network, prepare=_marks_what_is_bright)
    site = Site.claimed(folder / "site")
    for place, (seed, store) in enumerate(((11, folder / "reference"), (12, site.store))):
        write_phantom_dicom(folder / f"dicom{place}", studies=STUDIES, seed=seed, faults=False)
        medkd.ingest(folder / f"dicom{place}", store)
    made = DriftSite(folder / "run", uri, folder / "reference", site)
    entries = run_champion(site, made.workspace.tracking_uri, (uri,))
    assert [one.outcome for one in entries] == ["reported"] * STUDIES
    return made


def _marks_what_is_bright(network: torch.nn.Module) -> None:
    """Favour the background by so much that an untrained network marks little."""
    with torch.no_grad():
        network.head.bias[0] += 1.0
