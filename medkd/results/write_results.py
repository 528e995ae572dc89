"""The DICOM results of an explained study: written, read back, and only then published."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from data_contracts import ClassAnswer, DataError, Geometry, LesionFinding, ReadBack, ResultObject, ResultSet, StudyExplanation, load_record
from data_contracts.private import private_folder
from data_contracts.result_set import ResultKind
from medkd.cohorts.study_arrays import study_arrays
from medkd.dicom.archive import files_of
from medkd.dicom.series_table import first_file_of
from medkd.dicom.write_seg import SegIdentity, complete, source_images, source_picture, write_seg
from medkd.explanation.kept import SHORT, read_kept
from medkd.explanation.wording import noun_of
from medkd.inference.components import SMALLEST, find_components
from medkd.results import certify as certifying
from medkd.results.common import SERIES, Identity
from medkd.results.key_image import write_key_image
from medkd.results.ohif import reader as ohif
from medkd.results.ohif.reader import OhifReader
from medkd.results.parametric_map import MapWords, write_parametric_map
from medkd.results.readers import require_readers
from medkd.results.strongest_half import strongest_half
from medkd.results.structured_report import first_map, write_report
from medkd.storage.store import Store, sha256_file, write_bytes

RECORD = "result_set.json"
#: A label map of one byte numbers so many.
_MOST_SEGMENTS = 255


def write_results(
    explanation: Path, values: NDArray[np.float32], source: Iterable[Path], out: Path, picture: bytes | None = None
) -> tuple[ResultSet, Path]:
    """Write SEG (binary and label map), Parametric Maps, an SR and a key image of one explanation, and publish them if all can be read back.

    Of a picture, whose pixels lie nowhere in the patient, SR and key image alone are written. They carry the patient and the study of the source's images: whoever may read those may read these.

    Args:
        explanation: folder of the artefact.
        values: the explained volume [slice, row, column].
        source: DICOM files among which its images are; of a picture its only one.
        out: folder of result sets; the set goes to ``OUT/ID`` with ``result_set.json``, or nowhere.
        picture: PNG for viewers that show nothing else.

    Returns:
        The set and its folder.

    Raises:
        DataError: ``SEG_SOURCE`` when a slice or a picture has no image of its own; ``SEG_TOO_MANY`` or ``SEG_FINDING`` for findings that a
            segmentation cannot hold or that are not those of the explanation; ``RESULT_INVALID``, ``RESULT_DIFFERS``, ``RESULT_UNREADABLE`` or
            ``RESULT_PLACE`` when a reader finds something else than was to be written: nothing is published then.
        MissingDependencyError: ``RESULT_READERS`` without the readers.
    """
    require_readers()
    record, numpy_arrays = read_kept(explanation)
    geometry = record.volume.space
    images = [source_picture(source, record.volume.geometry.shape)] if geometry is None else source_images(source, values, geometry)
    complete(images)
    place = private_folder(out) / record.digest()[:SHORT]
    if (known := _published(place)) is not None:
        return known, place
    viewer = OhifReader(geometry, images) if geometry is not None and ohif.version() else nullcontext()
    with tempfile.TemporaryDirectory(prefix=".results-", dir=out) as folder, viewer as asked:
        made = _Set(record, images, private_folder(Path(folder) / "set"), asked)
        if geometry is not None:
            made.segmentations(numpy_arrays, geometry)
            made.maps(numpy_arrays, geometry)
        made.report()
        if picture is not None:
            words = f"medkd report {record.model.name}"
            made.add(
                "key_image", write_key_image(picture, images, words, made.identity, made.folder / "key_image.dcm"), "picture of the report"
            )
        found = ResultSet(explanation=record.digest(), model=record.model, objects=tuple(made.objects), certificate=tuple(made.certificate))
        write_bytes(made.folder / RECORD, found.canonical_json())
        if place.exists():
            place.rename(Path(folder) / "altered")
        made.folder.rename(place)  # in one step: whoever looks sees a whole set or none
    return found, place


def publish_results(explanation: Path, store: Path, source: Path, out: Path) -> Path:
    """Write the DICOM results of an explanation of a volume in a store beside the picture of its report, if there is one; return the set's folder.

    Args:
        explanation: folder of the artefact, below the folder of the study's report.
        store: that holds the volume.
        source: folder, zip or file that the volume was ingested from.
        out: folder of result sets, claimed for that.

    Raises:
        As :func:`write_results`.
    """
    record, _ = read_kept(explanation)
    values, _ = study_arrays(record.volume, Store(store))
    picture = explanation.parents[1] / "picture.png"
    with files_of(source) as files:
        # A volume's images are known by their positions, which a picture does not have.
        first = None if record.volume.picture is None else first_file_of(store, record.volume.series_key)
        own = files if first is None else [path for path in files if path == source or path.as_posix().endswith(f"/{first}")]
        return write_results(explanation, values, own, out, picture.read_bytes() if picture.is_file() else None)[1]


def _published(place: Path) -> ResultSet | None:
    """Return the set that was published at a place, whole: written again its bytes would be others, and its objects the same."""
    if not (place / RECORD).is_file():
        return None
    found = load_record(place / RECORD, ResultSet)
    whole = all((place / one.file).is_file() and sha256_file(place / one.file) == one.sha256 for one in found.objects)
    return found if whole else None


class _Set:
    """Objects of one study as they come to be; each is read back at once."""

    def __init__(self, record: StudyExplanation, images: list[Dataset], folder: Path, viewer: OhifReader | None) -> None:
        self.record, self.images, self.folder, self.viewer = record, images, folder, viewer
        self.objects: list[ResultObject] = []
        self.certificate: list[ReadBack] = []
        self.identity = Identity(record.digest(), str(images[0].StudyInstanceUID))
        findings: list[LesionFinding | ClassAnswer] = [*record.lesions, *record.answers]
        self.tracking = {one.number: (f"{_kind(record)}-{one.number}", self.identity.uid("finding", str(one.number))) for one in findings}
        self.segmentation: Dataset | None = None

    def add(self, kind: ResultKind, path: Path, about: str, read: Callable[[], Iterable[ReadBack]] = tuple) -> None:
        """Validate an object, let others read it back, and count it."""
        self.certificate += [certifying.certify(path), *read()]
        header = certifying.header_of(path)
        self.objects.append(
            ResultObject(
                kind=kind,
                file=path.name,
                sha256=sha256_file(path),
                sop_class_uid=str(header.SOPClassUID),
                sop_instance_uid=str(header.SOPInstanceUID),
                about=about,
            )
        )

    def segmentations(self, arrays: dict[str, NDArray[np.generic]], geometry: Geometry) -> None:
        """Write the found lesions, a segment each."""
        if not self.record.lesions:
            return
        labels = self._numbered(np.asarray(arrays["segmentation/student"], np.uint8), geometry)
        names = {place: f"{lesion.class_name} {lesion.number}" for place, lesion in enumerate(self.record.lesions, 1)}
        tracking = {place: self.tracking[lesion.number] for place, lesion in enumerate(self.record.lesions, 1)}
        algorithm = f"{self.record.model.name}/{self.record.model.version}"
        kinds: tuple[tuple[ResultKind, bool], ...] = (("segmentation", False), ("labelmap", True))
        for kind, labelmap in kinds:
            own = SegIdentity(self.identity.uid(kind, "series"), self.identity.uid(kind), tracking, SERIES[kind])
            path = write_seg(labels, names, self.images, algorithm, self.folder / f"{kind}.dcm", identity=own, labelmap=labelmap)
            self.add(kind, path, f"what {algorithm} marks", partial(certifying.certify_segments, path, labels, geometry, self.viewer))
            self.segmentation = self.segmentation or certifying.header_of(path)

    def _numbered(self, classes: NDArray[np.uint8], geometry: Geometry) -> NDArray[np.uint8]:
        """Return of every voxel the place of its lesion in the record: lesions are known by the digests of their masks."""
        if len(self.record.lesions) > _MOST_SEGMENTS:
            raise DataError(
                "SEG_TOO_MANY", f"expected at most {_MOST_SEGMENTS} findings in a segmentation, there are {len(self.record.lesions)}"
            )
        found = np.zeros(geometry.shape, np.uint8)
        places = {lesion.mask_sha256: place for place, lesion in enumerate(self.record.lesions, 1)}
        for value in np.unique(classes[classes > 0]):
            smallest = min((lesion.voxels for lesion in self.record.lesions), default=SMALLEST)
            for lesion, mask in find_components(classes == value, geometry, smallest=smallest):
                if lesion.mask_sha256 in places:
                    found[mask > 0] = places[lesion.mask_sha256]
        missing = set(places.values()) - set(np.unique(found).tolist())
        if missing:
            raise DataError(
                "SEG_FINDING",
                f"expected every finding of the explanation in its segmentation, {len(missing)} of {len(places)} are not; explain again",
            )
        return found

    def maps(self, arrays: dict[str, NDArray[np.generic]], geometry: Geometry) -> None:
        """Write the first explainer's map of each finding: of the model, of its teacher, and their difference; and where the model's is strongest."""
        instance = 0
        strongest: dict[int, NDArray[np.float32]] = {}
        for number in self.record.explained:
            own, above = first_map(self.record, number), first_map(self.record, number, "teacher")
            if own is None:
                continue
            shown = {"model": np.asarray(arrays[own.tensor], np.float32)}
            strongest[number] = shown["model"]
            if above is not None and above.tensor in arrays:
                shown["teacher"] = np.asarray(arrays[above.tensor], np.float32)
                shown["difference"] = shown["model"] - shown["teacher"]
            failed = " FAILED A TEST" if own.method.explainer in self.record.failed_explainers else ""
            for who, values in shown.items():
                instance += 1
                about = f"{who} {own.method.explainer} of {_kind(self.record)} {number}{failed}"
                words = MapWords(f"{who} {number}", f"medkd {about}", f"attribution in {own.unit}{failed}")
                path = self.folder / f"map-{number}-{who}.dcm"
                write_parametric_map(values, self.images, words, self.identity, path, instance=instance)
                self.add("parametric_map", path, about, partial(certifying.certify_map, path, values, geometry, self.viewer))

        if strongest:
            self._strongest(strongest, geometry)

    def _strongest(self, maps: dict[int, NDArray[np.float32]], geometry: Geometry) -> None:
        """Write a segment per map: the fewest voxels that hold half of it. For viewers that show segmentations and no maps."""
        labels = strongest_half(maps)
        present = {number: maps[number] for number in maps if (labels == number).any()}
        if not present or max(present) > _MOST_SEGMENTS:
            return
        failed = " FAILED A TEST" if self.record.failed_explainers else ""
        kind = _kind(self.record)
        own = SegIdentity(
            self.identity.uid("map_segmentation", "series"),
            self.identity.uid("map_segmentation"),
            {number: (f"{kind}-{number}-attribution", self.identity.uid("attribution", str(number))) for number in present},
            SERIES["map_segmentation"],
            f"medkd half of the attribution{failed}",
        )
        names = {number: f"half of the attribution of {kind} {number}" for number in present}
        numbered = np.searchsorted(sorted(present), labels).astype(np.uint8) + (labels > 0)
        path = write_seg(
            labels,
            names,
            self.images,
            f"{self.record.model.name}/{self.record.model.version}",
            self.folder / "map-segmentation.dcm",
            identity=own,
        )
        self.add("map_segmentation", path, own.description, partial(certifying.certify_segments, path, numbered, geometry, self.viewer))

    def report(self) -> None:
        """Write the measurements."""
        path = write_report(self.record, self.images, self.segmentation, self.tracking, self.identity, self.folder / "measurements.dcm")
        self.add("report", path, "measurements of what was found")


def _kind(record: StudyExplanation) -> str:
    return "answer" if record.answers else noun_of(record.structures)
