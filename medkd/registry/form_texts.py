"""What is written beside an exported form, and said once it was made: what it takes, what it gives, and how it is asked."""

from __future__ import annotations

from data_contracts import Checkpoint, ModelRef, TaskKind
from data_contracts.compression import FormKind

_LOADED = {
    FormKind.ONNX: (
        "ONNX",
        'session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])\nanswers = session.run(None, {"image": images})',
    ),
    FormKind.OPENVINO: (
        "OpenVINO",
        'compiled = openvino.Core().compile_model("model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})\nanswers = compiled({"image": images})',
    ),
}


def form_readme(model: ModelRef, checkpoint: Checkpoint, kind: FormKind) -> str:
    """Return ``README.md`` of a form in ONNX or OpenVINO."""
    name, code = _LOADED[kind]
    task = checkpoint.task
    size = ", ".join(map(str, task.image_size))
    space = size if task.kind is TaskKind.SEGMENTATION else ""
    values = (
        f"stored values {task.window[0]:g} to {task.window[1]:g} scaled to [-1, 1]"
        if task.intensity == "window"
        else "mean 0 and deviation 1 of the box round what is not zero"
        if task.intensity == "z_score"
        else "clipped to percentiles 0.5 and 99.5 of the volume, then mean 0 and deviation 1"
    )
    seen = f"{', '.join(task.image_names)}, each " if task.in_channels > 1 else ""
    return f"""# {model.name}, {name}

**Research use only. Not a medical device. No clinical claim is made.**

{model.uri} of medkd, manifest {model.manifest_digest}, float32.

Input `image`, float32 [n, {task.in_channels}, {size}]: {seen}{values}. Output `logits`, [n, {len(task.classes)}{f", {space}" if space else ""}], for
{", ".join(task.classes)}; where the head has a closed form `class_map`, [n, {len(task.classes)}, {size}], in logits.

```python
{code}
```

A study of DICOM, with findings, page and segmentation, without torch (`requirements.txt` says what is installed for it):

    medkd run-study STUDY --model {model.uri} --runtime {kind.value} --out OUT
"""


def next_step(uri: str, kind: FormKind) -> tuple[str, ...]:
    """Return the words of the command that uses a form."""
    if kind is FormKind.BUNDLE:
        return ("python", "-m", "monai.bundle", "run", "--config_file", "configs/inference.json", "--bundle_root", ".")
    return ("medkd", "run-study", "STUDY", "--model", uri, "--runtime", kind.value, "--out", "OUT")
