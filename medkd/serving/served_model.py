"""A registered version as it is served: DICOM or tensors in, findings, segmentations, pages or answers out; neither torch nor MLflow."""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from data_contracts import (
    Calibration,
    Checkpoint,
    DataError,
    IngestPolicy,
    MedkdError,
    ModelCard,
    StoreManifest,
    TaskKind,
    VolumeRef,
    load_record,
)
from data_contracts.private import private_folder, privately
from medkd.dicom.archive import files_of
from medkd.dicom.case_images import require_images_of_store
from medkd.dicom.ingest import IngestRequest, ingest
from medkd.dicom.ingest_cache import read_manifest
from medkd.dicom.qc_picture import open_mapped
from medkd.dicom.series_words import series_words
from medkd.dicom.write_seg import source_images, write_seg
from medkd.inference.apply_calibration import apply
from medkd.inference.calibration_text import calibration_caveats
from medkd.inference.further_images import images_caveats, read_further
from medkd.inference.series_caveats import require_rules, rules_of, series_caveats
from medkd.inference.training_caveats import caveats_of_study, require_permitted
from medkd.serving.form import NETWORK
from medkd.serving.network import OnnxNetwork
from medkd.serving.page import PageFinding, render_page
from medkd.serving.study import StudyAnswer, ask_study
from medkd.storage.manifest import verify_folder
from medkd.storage.store import Store, write_bytes
from medkd.volumes.intensity import array_intensity
from medkd.volumes.orientation import require_space

#: Columns of the table of findings, in order.
COLUMNS = (
    "source",
    "series",
    "modality",
    "finding",
    "class_name",
    "probability",
    "volume_ml",
    "diameter_mm",
    "side",
    "centroid_lps_mm",
    "first_slice",
    "last_slice",
    "key_slice",
    "seg_path",
    "report_path",
    "caveats",
    "code",
    "message",
)
Row = dict[str, Any]


@dataclass(frozen=True)
class Wanted:
    """What is asked beside the input.

    Attributes:
        out: folder for segmentations and pages; one of its own below the temporary folder where empty.
        inline: also return them as base64 text, in ``seg_base64`` and ``report_base64``: for clients on another machine.
        intensity: ``prepared`` tensors are taken as the network sees them, ``raw`` ones are windowed or standardised first.
    """

    out: str = ""
    inline: bool = False
    intensity: Literal["prepared", "raw"] = "prepared"


class ServedModel:
    """A version in its serving form, every byte verified when it is opened.

    Args:
        package: folder of the version's own files, with its manifest.
        serving: folder of the serving form, with its manifest.
        manifest_digest: of the package's manifest.
        serving_digest: of the serving form's.
        name: of the registered model, for segmentations and pages.

    Raises:
        RegistryError: ``VERSION_ALTERED``, naming the file.
    """

    def __init__(self, package: Path, serving: Path, *, manifest_digest: str, serving_digest: str, name: str) -> None:
        verify_folder(package, manifest_digest)
        verify_folder(serving, serving_digest)
        self.name = name
        self.checkpoint = load_record(package / "checkpoint.json", Checkpoint)
        path = package / "calibration.json"
        self.calibration = load_record(path, Calibration) if path.is_file() else None
        card = package / "card.json"
        self.rules = rules_of(load_record(card, ModelCard) if card.is_file() else None)
        self.network = OnnxNetwork(serving / NETWORK, self.checkpoint.task)

    def answer_tensors(self, images: list[NDArray[np.float32]], wanted: Wanted) -> dict[str, NDArray[Any]]:
        """Return what is answered of images [channel, *space] of one shape, each [n, …].

        ``logits`` and ``class_map`` (where the network has them) are the network's own, ``probabilities`` are calibrated where the version
        is, ``labels`` are the likeliest classes.

        Volumes that are segmented may be of any size, and are asked about window by window; all other images are of the task's size.

        Raises:
            DataError: ``IMAGE_SHAPE`` or ``IMAGE_NOT_FINITE``.
        """
        task = self.checkpoint.task
        windows = task.spatial_dims == 3 and task.kind is TaskKind.SEGMENTATION
        for image in images:
            seen = image.ndim == task.spatial_dims + 1 and image.shape[0] == task.in_channels
            if not (seen and (windows or image.shape[1:] == task.image_size)) or image.shape != images[0].shape:
                size = "any size" if windows else str(task.image_size)
                raise DataError(
                    "IMAGE_SHAPE", f"expected images [{task.in_channels}, *space] of {size} and of one shape, got {image.shape}"
                )
            if not np.isfinite(image).all():
                raise DataError("IMAGE_NOT_FINITE", "expected finite voxels, got NaN or infinity")
        if wanted.intensity == "raw":
            images = [np.stack([array_intensity(channel, task) for channel in image]) for image in images]
        if windows:
            parts = [np.stack(list(of)) for of in zip(*(self.network.predict_volume(image) for image in images), strict=True)]
        else:
            parts = self.network.predict(np.stack(images))
        names = ("logits", "class_map")
        probabilities = apply(parts[0], self.calibration)
        # As :mod:`medkd.inference` decides: a voxel by its logits, a picture by the probabilities that are stated of it.
        decisive = parts[0] if task.kind is TaskKind.SEGMENTATION else probabilities
        return {**dict(zip(names, parts, strict=False)), "probabilities": probabilities, "labels": decisive.argmax(1).astype(np.uint8)}

    def answer_study(self, source: str, wanted: Wanted, *, number: int = 1) -> list[Row]:
        """Return a row per finding (or per answer of a classifier) of every series in a DICOM zip, folder or file.

        What is refused is a row with ``code`` and ``message``, and a series without a finding is a row without a class: nothing is lost.

        Args:
            source: path, or the bytes of a zip as base64 text.
            wanted: where results go.
            number: of the input among those asked at once.
        """
        out = private_folder(Path(wanted.out) if wanted.out else Path(tempfile.mkdtemp(prefix="medkd-served-")))
        label = f"input {number}"
        rows: list[Row] = []
        try:
            with _as_path(source) as path, tempfile.TemporaryDirectory(prefix="medkd-serving-") as scratch, privately():
                store = Path(scratch) / "store"
                # A key of its own, thrown away: no pseudonym of one request can be matched with another's.
                report = ingest(IngestRequest(path, store, IngestPolicy()), secret=secrets.token_bytes(32))
                manifest = read_manifest(store)
                if not manifest.volumes:
                    text = (
                        f"expected a series whose geometry can be verified, none of {len(report.files)} files gives one: {report.codes()}"
                    )
                    return [_row(label, code="NO_VOLUME", message=text)]
                cases, refused = require_images_of_store(manifest, require_rules(self.checkpoint.task.image_names, self.rules, self.name))
                rows += [_row(label, code=why.code, message=why.what) for why in refused.values()]
                for case in cases:
                    rows += self._answer_volume(label, case.volumes, manifest, (path, store, out), wanted)
        except MedkdError as error:
            rows.append(_row(label, code=error.code, message=str(error)))
        return rows

    def _answer_volume(
        self, label: str, images: tuple[VolumeRef, ...], manifest: StoreManifest, places: tuple[Path, Path, Path], wanted: Wanted
    ) -> list[Row]:
        (source, store, out), volume = places, images[0]
        acquired = {one.series_key: one.acquisition for one in manifest.series}
        about = {"series": series_words(volume, acquired.get(volume.series_key, "")), "modality": volume.modality}
        try:
            require_permitted(volume, self.checkpoint.domain)
            values = np.array(open_mapped(Store(store), volume), dtype=np.float32)
            further = read_further(volume, images[1:], Store(store), self.checkpoint.task)
            answer = ask_study(values, require_space(volume, "a served model"), self.network, further=further.values)
        except MedkdError as error:
            return [_row(label, **about, code=error.code, message=str(error))]
        of_images = (*images_caveats(self.checkpoint.task, volume, further), *series_caveats(self.rules, images, store))
        caveats = (*caveats_of_study(volume, self.checkpoint), *of_images, *calibration_caveats(self.calibration, self.name))
        about["caveats"] = " ".join(f"{one.code}: {one.text}" for one in caveats)
        findings = self._findings(answer)
        folder = private_folder(out / volume.series_key)
        page = render_page(values, answer, tuple(findings), volume, self.name, caveats)
        about |= _kept(write_bytes(folder / "report.html", page.encode()), "report", wanted)
        if answer.labels is not None and answer.labels.any():
            try:
                about |= _kept(self._write_seg(answer.labels, values, volume, source, folder / "segmentation.dcm"), "seg", wanted)
            except MedkdError as error:
                about |= {"code": error.code, "message": str(error)}
        if not findings:
            return [_row(label, **about, finding=0)]
        return [_row(label, **about, **one.columns, finding=place) for place, one in enumerate(findings, 1)]

    def _write_seg(self, labels: NDArray[np.uint8], values: NDArray[np.float32], volume: VolumeRef, source: Path, path: Path) -> Path:
        with files_of(source) as files:
            images = source_images(files, values, require_space(volume, "a segmentation"))
            return write_seg(labels, dict(enumerate(self.checkpoint.task.classes)), images, self.name, path)

    def _findings(self, answer: StudyAnswer) -> list[PageFinding]:
        if answer.logits is None:
            return [
                PageFinding(
                    lesion.class_name,
                    lesion.key_slice,
                    {
                        "class_name": lesion.class_name,
                        "volume_ml": lesion.volume_ml,
                        "diameter_mm": lesion.diameter_mm,
                        "side": lesion.side,
                        "centroid_lps_mm": list(lesion.centroid_lps_mm or ()),
                        "first_slice": lesion.first_slice,
                        "last_slice": lesion.last_slice,
                        "key_slice": lesion.key_slice,
                    },
                    mask,
                    self.checkpoint.task.classes.index(lesion.class_name),
                )
                for lesion, mask in answer.lesions
            ]
        return list(_answers(apply(answer.logits, self.calibration), self.checkpoint.task.classes))


def _answers(probability: NDArray[np.float32], classes: tuple[str, ...]) -> Iterator[PageFinding]:
    """Yield a finding per run of pictures with one answer, as explanations number them: the longest first."""
    chosen = probability.argmax(1)
    ends = [*np.flatnonzero(np.diff(chosen)).tolist(), len(chosen) - 1]
    runs = list(zip([0, *(end + 1 for end in ends[:-1])], ends, strict=True))
    for first, last in sorted(runs, key=lambda run: run[0] - run[1]):
        index = int(chosen[first])
        own = probability[first : last + 1, index]
        # Of a volume there is one picture, and its maps lie in the middle of it.
        key = first + int(own.argmax()) if len(chosen) > 1 else None
        columns = {
            "class_name": classes[index],
            "probability": float(own.mean()),
            "first_slice": first,
            "last_slice": last,
            "key_slice": key,
        }
        yield PageFinding(classes[index], key, columns, None, 0)


@contextmanager
def _as_path(source: str) -> Iterator[Path]:
    """Give the path of a source; base64 text is written to a file that is removed afterwards.

    Raises:
        DataError: ``SOURCE_UNREADABLE`` for text that is neither.
    """
    if len(source) < 4096 and os.path.exists(source):
        yield Path(source)
        return
    try:
        payload = base64.b64decode(source, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DataError("SOURCE_UNREADABLE", f"expected the path of DICOM or a zip as base64 text, got {source[:60]!r}") from error
    if not payload.startswith(b"PK"):
        raise DataError("SOURCE_UNREADABLE", f"expected a zip as base64 text, it begins with {payload[:4]!r}, and no file has that name")
    with tempfile.TemporaryDirectory(prefix="medkd-received-") as folder:
        yield write_bytes(Path(folder) / "study.zip", payload)


def _kept(path: Path, what: str, wanted: Wanted) -> Mapping[str, str]:
    inline = {f"{what}_base64": base64.b64encode(path.read_bytes()).decode()} if wanted.inline else {}
    return {f"{what}_path": str(path), **inline}


def _row(source: str, **columns: Any) -> Row:
    return {**dict.fromkeys(COLUMNS), "source": source, **columns}


def wanted_of(params: Mapping[str, Any] | None) -> Wanted:
    """Return what MLflow's parameters ask for; those that are not named keep their defaults."""
    given = {name: value for name, value in (params or {}).items() if value is not None}
    return replace(Wanted(), **given)


def as_images(given: list[Any]) -> list[NDArray[np.float32]]:
    """Return images as arrays; they come nested in lists where they went through a table or JSON."""
    return [np.asarray(image, dtype=np.float32) for image in given]
