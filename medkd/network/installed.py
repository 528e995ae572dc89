"""Whether the libraries are there that speak with archives."""

from __future__ import annotations

import logging
from importlib.metadata import PackageNotFoundError, version

from data_contracts import MissingDependencyError


def require_network() -> None:
    """Refuse to begin without the libraries of DIMSE and DICOMweb, and keep them quiet: their own lines quote identifiers of patients.

    Raises:
        MissingDependencyError: ``NETWORK_LIBRARIES``.
    """
    for package in ("pynetdicom", "dicomweb-client"):
        try:
            version(package)
        except PackageNotFoundError as error:
            raise MissingDependencyError(
                "NETWORK_LIBRARIES", f"expected {package}, by which archives are spoken with; pip install '.[network]'"
            ) from error
    for name in ("pynetdicom", "dicomweb_client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
