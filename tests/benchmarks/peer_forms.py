"""The student as others would ask it, in a process of its own that answers as ``medkd.compression.form_process`` does.

``plain``: torch alone, the volume padded to the network's window and asked once. ``monai``: MONAI's ``sliding_window_inference``, Gaussian weights.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from data_contracts import TaskKind
from medkd.compression.form_process import FormJob, main


def peer(kind: str):
    """Return what opens a job as a peer."""

    def opened(job: FormJob):
        import torch
        from torch.nn import functional

        from medkd.models._load import restore_network
        from medkd.volumes.alignment import alignment_of
        from medkd.volumes.intensity import array_intensity
        from medkd.volumes.orientation import Grid

        torch.set_num_threads(1)
        task = job.checkpoint.task
        network = restore_network(job.checkpoint.network, Path(job.files[0]), job.checkpoint.weights.sha256)

        def window(image):
            if kind == "monai":
                from monai.inferers.utils import sliding_window_inference

                return sliding_window_inference(
                    image, task.image_size, 2, network, overlap=task.overlap, mode="gaussian", cval=float(image.min())
                )
            space = image.shape[2:]
            sides = [(max(w - e, 0) // 2, max(w - e, 0) - max(w - e, 0) // 2) for w, e in zip(task.image_size, space, strict=True)]
            flat = [amount for pair in reversed(sides) for amount in pair]
            inner = tuple(slice(before, before + extent) for (before, _), extent in zip(sides, space, strict=True))
            return network(functional.pad(image, flat, value=float(image.min())))[(..., *inner)]

        def answer(values, affine):
            with torch.no_grad():
                if affine is None:
                    return network(torch.from_numpy(array_intensity(values[0], task))[None, None]).numpy()
                alignment = alignment_of(Grid(values.shape[1:], affine), task)
                image = torch.from_numpy(array_intensity(alignment.array_to_network(values[0]), task))[None, None]
                logits = window(image) if task.kind is TaskKind.SEGMENTATION else network(image)
                return alignment.array_to_source(np.asarray(logits[0])).argmax(0)

        return answer

    return opened


if __name__ == "__main__":
    given = FormJob.model_validate_json(Path(sys.argv[1]).read_text(encoding="utf-8"))
    main(given, peer(Path(sys.argv[1]).stem))
