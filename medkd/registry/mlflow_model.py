"""A version as an MLflow model: what MLflow itself writes into a model's folder, and ours beside it."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_contracts import RegistryError
from data_contracts.private import close_to_others
from medkd.registry.interface import SERVING_FOLDER
from medkd.serving.form import NETWORK, PREDICT, PackedForm
from medkd.serving.network import CLASS_MAP, LOGITS
from medkd.serving.served_model import COLUMNS
from medkd.storage.store import sha256_file

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

#: Where the version's own files and its serving form lie in the model's folder: MLflow copies artefacts of a pyfunc to ``artifacts/``.
PACKAGE, SERVING = "artifacts/package", f"artifacts/{SERVING_FOLDER}"
#: Tag of a version with the id of its logged model.
MODEL_TAG = "medkd.logged_model"
# mlflow.pyfunc warns of its own types while it is imported, and takes a second: paid where a version is registered.
_NUMBERS = {"probability", "volume_ml", "diameter_mm"}
_PLACES = {"finding", "first_slice", "last_slice", "key_slice"}
_PARAMETERS = (("out", "string", ""), ("inline", "boolean", False), ("intensity", "string", "prepared"))


@dataclass(frozen=True)
class Belonging:
    """What a model's folder is of.

    Attributes:
        name: of the registered model.
        manifest_digest: of the version's own files.
        model_id: of the logged model.
        run_id: of the run that made it.
    """

    name: str
    manifest_digest: str
    model_id: str
    run_id: str


def lay_out(folder: Path, package: Path, form: PackedForm | None, of: Belonging) -> dict[str, str]:
    """Write the folder of a logged model; without a serving form (knowledge) it holds the version's own files alone.

    Returns:
        sha256 of each file that is in neither manifest: MLflow's own, and the code that it executes.
    """
    shutil.copytree(package, folder / PACKAGE)
    if form is None:
        return {}
    shutil.copytree(form.folder, folder / SERVING)
    template = _template(json.dumps(form.example_rows()), form.requirements)
    shutil.copytree(template, folder, dirs_exist_ok=True)
    with _quiet():
        from mlflow.models import Model
    model = Model.load(str(folder))
    model.model_id, model.run_id, model.model_uuid = of.model_id, of.run_id, of.model_id.removeprefix("m-")
    flavour = model.flavors["python_function"]
    # MLflow writes where the files came from on this machine: the name is what it looks for on load.
    flavour["model_code_path"] = PREDICT.name
    flavour["artifacts"] = {place.rpartition("/")[2]: {"path": place, "uri": place} for place in (PACKAGE, SERVING)}
    flavour["config"] = {"manifest_digest": of.manifest_digest, "serving_digest": form.digest, "name": of.name}
    # Also for those who want the network alone: mlflow.onnx.load_model.
    model.add_flavor("onnx", onnx_version="1.20", data=f"{SERVING}/{NETWORK}", providers=["CPUExecutionProvider"], code=None)
    model.model_size_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    model.save(str(folder / "MLmodel"))
    for path in folder.rglob("*"):
        close_to_others(path)  # MLflow keeps the mode of what it copies, and the code of a model is everybody's where it is installed
    return {path.name: sha256_file(path) for path in sorted(folder.iterdir()) if path.is_file()}


def verify_mlflow_files(folder: Path, listed: dict[str, str]) -> None:
    """Verify MLflow's own files of a version and the code that it executes.

    Raises:
        RegistryError: ``VERSION_ALTERED``, naming the first that is missing or differs.
    """
    for name, digest in listed.items():
        path = folder / name
        if not path.is_file() or sha256_file(path) != digest:
            raise RegistryError("VERSION_ALTERED", f"expected {name} with sha256 {digest[:12]}, the file is missing or altered")


@functools.cache
def _template(example: str, requirements: tuple[str, ...]) -> Path:
    """Return a folder with what MLflow writes for all versions with one example: made once, since it looks at every library each time."""
    scratch = tempfile.mkdtemp(prefix="medkd-template-")
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    folder = Path(scratch) / "model"
    with _quiet():
        import mlflow.pyfunc
        import pandas as pd

        mlflow.pyfunc.save_model(
            path=str(folder),
            python_model=str(PREDICT),
            signature=signature(),
            pip_requirements=list(requirements),
            input_example=pd.DataFrame(json.loads(example)),
        )
    return folder


def signature() -> ModelSignature:
    """Return what a version takes and gives: DICOM to a table of findings, or images to arrays."""
    with _quiet():
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
        from mlflow.types.schema import AnyType

    def of(column: str) -> Any:
        if column in _NUMBERS:
            return DataType.double
        return DataType.long if column in _PLACES else AnyType() if column == "centroid_lps_mm" else DataType.string

    columns: list[Any] = [ColSpec(of(name), name, required=False) for name in COLUMNS]
    arrays: list[Any] = [ColSpec(AnyType(), name, required=False) for name in (LOGITS, CLASS_MAP, "probabilities", "labels")]
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string, "dicom", required=False), ColSpec(AnyType(), "image", required=False)]),
        outputs=Schema([*columns, *arrays]),
        params=ParamSchema([ParamSpec(name, kind, default) for name, kind, default in _PARAMETERS]),
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what MLflow says of its own types and of a file that it executes."""
    logger = logging.getLogger("mlflow.pyfunc")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
