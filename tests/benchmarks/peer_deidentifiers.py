"""De-identifiers in common use, with their defaults: run in ``.venv-bench``; imports nothing of medkd.

``python peer_deidentifiers.py TOOL IN OUT`` writes the de-identified file.
"""

from __future__ import annotations

import sys
import warnings


def dicom_anonymizer(source, target):
    from dicomanonymizer import anonymize_dicom_file

    anonymize_dicom_file(source, target)


def deid(source, target):
    import os
    import tempfile

    from deid.config import DeidRecipe
    from deid.dicom import get_identifiers, replace_identifiers

    with tempfile.TemporaryDirectory() as folder:
        ids = get_identifiers([source])
        written = replace_identifiers(dicom_files=[source], deid=DeidRecipe(), ids=ids, output_folder=folder, overwrite=True, save=True)
        os.replace(written[0], target)


def dicognito(source, target):
    import pydicom
    from dicognito.anonymizer import Anonymizer

    dataset = pydicom.dcmread(source)
    Anonymizer().anonymize(dataset)
    dataset.save_as(target)


TOOLS = {"dicom-anonymizer": dicom_anonymizer, "deid": deid, "dicognito": dicognito}

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    TOOLS[sys.argv[1]](sys.argv[2], sys.argv[3])
