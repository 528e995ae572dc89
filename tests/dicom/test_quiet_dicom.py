"""Warnings of pydicom are silent while a source is read, and as before afterwards."""

from __future__ import annotations

import logging
import warnings

import pytest
from pydicom import config

from medkd.dicom.quiet_dicom import quiet_dicom


def state():
    return logging.getLogger("pydicom").level, config.settings.reading_validation_mode


def test_neither_warnings_nor_the_log_speak(caplog):
    with quiet_dicom():
        warnings.warn("PatientName Doe", UserWarning, stacklevel=1)
        logging.getLogger("pydicom").error("PatientName Doe")
    assert not caplog.records


def test_everything_is_as_before_although_reading_failed():
    before = state()

    def fail():
        with quiet_dicom():
            assert state() != before
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert state() == before
