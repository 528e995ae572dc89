"""De-identifiers in common use, with their defaults: run in ``.venv-bench``; imports nothing of medkd.

``python peer_deidentifiers.py TOOL IN OUT`` writes the de-identified file; of two folders, every file of the first under its name in the second,
in one process, so that what a tool remembers of one file it knows of the next.
"""

from __future__ import annotations

import functools
import sys
import warnings
from pathlib import Path


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


@functools.cache
def _anonymizer():
    from dicognito.anonymizer import Anonymizer

    return Anonymizer()


def dicognito(source, target):
    import pydicom

    dataset = pydicom.dcmread(source)
    _anonymizer().anonymize(dataset)
    dataset.save_as(target)


TOOLS = {"dicom-anonymizer": dicom_anonymizer, "deid": deid, "dicognito": dicognito}

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    tool, source, target = TOOLS[sys.argv[1]], Path(sys.argv[2]), Path(sys.argv[3])
    if not source.is_dir():
        tool(str(source), str(target))
        sys.exit()
    for path in sorted(source.iterdir()):
        try:
            tool(str(path), str(target / path.name))
        except Exception as error:  # the file is missing then, which counts against the tool
            print(path.name, type(error).__name__, error, file=sys.stderr)
