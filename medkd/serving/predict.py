"""The code of a registered version, as MLflow runs it (models from code): no pickle, and of medkd what lies beside it.

MLflow copies this file into every version and executes it on load; the code that it needs of medkd is in ``medkd-code.zip`` of the
serving form, so that neither medkd nor torch need be installed where a version is served.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd


def _import_served_model(serving: Path) -> Any:
    """Return medkd's class of a served model: of the medkd that is imported already, else of the code beside the version."""
    if "medkd" not in sys.modules:
        archive = serving / "medkd-code.zip"
        listed = json.loads((serving / "manifest.json").read_text(encoding="utf-8"))["files"]["medkd-code.zip"]["sha256"]
        # The rest is verified by the code itself; the code has to be verified before it runs.
        if hashlib.sha256(archive.read_bytes()).hexdigest() != listed:
            raise ValueError("VERSION_ALTERED: expected medkd-code.zip as it was registered, it was altered; register the version again")
        folder = tempfile.mkdtemp(prefix="medkd-code-")
        # Worker processes that decode images import from there too, so it stays as long as this one.
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(folder)
        sys.path.insert(0, folder)
    from medkd.serving import served_model

    return served_model


class MedkdModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
    """DICOM or tensors in; a table of findings, or logits, labels and class maps out. Research use only."""

    def load_context(self, context: Any) -> None:
        """Open the version, every byte verified."""
        package, serving = Path(context.artifacts["package"]), Path(context.artifacts["serving"])
        self._served = _import_served_model(serving)
        about = context.model_config
        self._model = self._served.ServedModel(
            package, serving, manifest_digest=about["manifest_digest"], serving_digest=about["serving_digest"], name=about["name"]
        )

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> Any:
        """Return a table of findings for the column ``dicom``, a dictionary of arrays for the column ``image``."""
        wanted = self._served.wanted_of(params)
        given = {name: list(model_input[name]) for name in ("dicom", "image") if name in model_input and not model_input[name].isna().all()}
        if len(given) != 1:
            raise ValueError(f"expected either the column dicom or the column image, got {sorted(given) or list(model_input)}")
        if "image" in given:
            return self._model.answer_tensors(self._served.as_images(given["image"]), wanted)
        rows = [
            row for number, source in enumerate(given["dicom"], 1) for row in self._model.answer_study(str(source), wanted, number=number)
        ]
        return pd.DataFrame(rows)


mlflow.models.set_model(MedkdModel())
