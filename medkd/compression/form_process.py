"""One form asked end to end in a process of its own: ``python -m medkd.compression.form_process`` JOB, then a case's number a line.

What it answers to each is the wall and processor seconds of bringing the case to the network's grid, asking, choosing the class and writing it;
to ``end`` the largest resident memory. Class maps are not among what is timed, by no runtime. A form of ONNX or OpenVINO brings no torch into its process: its memory is what an edge device would need.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from data_contracts import Checkpoint, FrozenModel, Geometry, Task, TaskKind
from medkd.memory_need import peak_bytes
from medkd.serving.runtime_network import RuntimeNetwork
from medkd.volumes.orientation import Grid

#: Images of a case, [image, *space], on one grid.
Values = NDArray[np.float32]
#: Passes before the clock is read: libraries choose their ways in the first.
WARM = 2
#: A case is asked again until so many seconds have passed: a millisecond alone is mostly what else the machine did in it.
_AT_LEAST_S = 0.1


class FormJob(FrozenModel):
    """What a process is told.

    Attributes:
        runtime: what asks.
        checkpoint: of the network.
        files: paths of what is needed: of ``torch`` its weights, of the others the form's own files, the one that is opened first.
        cases: safetensors file with ``values/N`` [image, *space] and, of volumes, ``affine/N``.
    """

    runtime: Literal["torch", "onnx", "openvino"]
    checkpoint: Checkpoint
    files: tuple[str, ...]
    cases: str


def asked_form(job: FormJob) -> Callable[[Values, NDArray[np.float64] | None], NDArray[Any]]:
    """Return what a form answers about a case on the case's own voxels: class of each, or logits of networks that classify."""
    task = job.checkpoint.task
    if job.runtime == "torch":
        return _by_torch(job, task)
    if job.runtime == "onnx":
        from medkd.serving.network import OnnxNetwork

        return _by_arrays(OnnxNetwork(Path(job.files[0]), task, threads=1, maps=False), task)
    from medkd.serving.openvino_network import OpenVinoNetwork

    return _by_arrays(OpenVinoNetwork(Path(job.files[0]), task, threads=1, maps=False), task)


def _by_arrays(network: RuntimeNetwork, task: Task) -> Callable[[Values, NDArray[np.float64] | None], NDArray[Any]]:
    from medkd.serving.study import ask_study
    from medkd.volumes.alignment import alignment_of
    from medkd.volumes.intensity import array_intensity
    from medkd.volumes.most_likely import most_likely

    def answer(values: Values, affine: NDArray[np.float64] | None) -> NDArray[Any]:
        """Return what the form answers to a study, without torch."""
        if affine is None:
            logits = network.predict(np.stack([array_intensity(image, task) for image in values])[None])[0]
            return np.asarray(logits.argmax(1) if task.kind is TaskKind.SEGMENTATION else logits)
        grid = _grid(values, affine)
        if task.kind is TaskKind.CLASSIFICATION:
            found = ask_study(values[0], _geometry(grid), network, further=tuple(values[1:])).logits
            return np.zeros(0) if found is None else found
        alignment = alignment_of(grid, task)
        images = np.stack([array_intensity(alignment.array_to_network(image), task) for image in values])
        return most_likely(alignment.array_to_source(network.predict_volume(images)[0]))

    return answer


def _by_torch(job: FormJob, task: Task) -> Callable[[Values, NDArray[np.float64] | None], NDArray[Any]]:
    import torch

    from medkd.inference.classify import class_logits, pictures_of
    from medkd.inference.predict import predict_logits
    from medkd.inference.segment import prepare_study, segment
    from medkd.models._load import restore_network
    from medkd.volumes.window import window_intensity

    torch.set_num_threads(1)
    network = restore_network(job.checkpoint.network, Path(job.files[0]), job.checkpoint.weights.sha256)

    def answer(values: Values, affine: NDArray[np.float64] | None) -> NDArray[Any]:
        """Return what the network answers to a study."""
        if affine is None:
            images = window_intensity(torch.from_numpy(values), task.window)[None]
            logits = predict_logits(network, images, flips=task.test_time_flips)
            return logits.argmax(1).numpy() if task.kind is TaskKind.SEGMENTATION else logits.numpy()
        study = prepare_study(torch.from_numpy(values[0]), _grid(values, affine), task, tuple(values[1:]))
        if task.kind is TaskKind.SEGMENTATION:
            return segment(network, study).numpy()
        return class_logits(network, pictures_of(study), study).numpy()

    return answer


def _geometry(grid: Grid) -> Geometry:
    return Geometry(shape=grid.shape, affine_lps_mm=grid.affine_lps_mm.tolist(), spacing_mm=grid.spacing_mm, residual_mm=0.0)


def _grid(values: Values, affine: NDArray[np.float64]) -> Grid:
    slices, rows, columns = values.shape[1:]
    return Grid((slices, rows, columns), affine)


def write_answer(answer: NDArray[Any], affine: NDArray[np.float64] | None, folder: Path) -> None:
    """Write what was answered as it would be kept: NIfTI of a volume's classes, PNG of a picture's, JSON of logits."""
    if affine is not None and answer.ndim == 3:
        import nibabel

        nibabel.Nifti1Image(answer.astype(np.uint8), affine).to_filename(folder / "answer.nii.gz")
    elif answer.ndim == 3:
        from PIL import Image

        Image.fromarray(answer[0].astype(np.uint8)).save(folder / "answer.png")
    else:
        (folder / "answer.json").write_text(json.dumps(answer.tolist()), encoding="utf-8")


Answer = Callable[[Values, NDArray[np.float64] | None], NDArray[Any]]


def main(job: FormJob, opened: Callable[[FormJob], Answer] | None = None) -> None:
    """Load the form, then answer the lines of standard input; ``opened`` loads another way of asking, as a benchmark's peers are."""
    answer = (opened or asked_form)(job)
    arrays = safetensors.numpy.load_file(job.cases)
    count = sum(name.startswith("values/") for name in arrays)
    cases = [(arrays[f"values/{row}"], arrays.get(f"affine/{row}")) for row in range(count)]
    with tempfile.TemporaryDirectory(prefix="medkd-form-") as scratch:
        for _ in range(WARM):
            write_answer(answer(*cases[0]), cases[0][1], Path(scratch))
        _say({"ready": True})
        for line in sys.stdin:
            if line.strip() == "end":
                break
            values, affine = cases[int(line)]
            walls, used, first = list[float](), time.process_time(), time.perf_counter()
            while not walls or time.perf_counter() - first < _AT_LEAST_S:
                started = time.perf_counter()
                write_answer(answer(values, affine), affine, Path(scratch))
                walls.append(time.perf_counter() - started)
            # The median: of short passes some are interrupted by whatever else the machine does.
            _say({"seconds": statistics.median(walls), "processor_seconds": (time.process_time() - used) / len(walls)})
    _say({"peak_bytes": peak_bytes() or 0})


def _say(found: dict[str, float | bool]) -> None:
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(FormJob.model_validate_json(Path(sys.argv[1]).read_text(encoding="utf-8")))
