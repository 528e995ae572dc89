"""pydicom's warnings, silenced while a source is read."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from pydicom import config


@contextmanager
def quiet_dicom() -> Iterator[None]:
    """Silence pydicom's warnings about odd values: what matters becomes a code, and texts may hold identifiers."""
    logger, before = logging.getLogger("pydicom"), config.settings.reading_validation_mode
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    # A validation that warns repeats the value, and that may be a name.
    config.settings.reading_validation_mode = config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
        config.settings.reading_validation_mode = before
