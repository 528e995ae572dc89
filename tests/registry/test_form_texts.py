from __future__ import annotations

import pytest

from data_contracts.compression import FormKind
from medkd.registry.form_texts import form_readme, next_step
from tests.serving.bundled import bundled


@pytest.mark.parametrize("kind", [FormKind.ONNX, FormKind.OPENVINO])
@pytest.mark.parametrize("builder", ["unet", "resnet"])
def test_a_form_says_what_it_takes_gives_and_is_asked_by(kind, builder):
    one = bundled(builder)
    text = form_readme(one.model, one.checkpoint, kind)
    assert "Research use only" in text
    assert f"--runtime {kind.value}" in text
    assert one.model.manifest_digest in text
    assert f"[n, 1, {', '.join(map(str, one.checkpoint.task.image_size))}]" in text
    assert all(name in text for name in one.checkpoint.task.classes)


def test_the_next_command_is_of_the_form():
    assert next_step("models:/a/1", FormKind.BUNDLE)[:4] == ("python", "-m", "monai.bundle", "run")
    assert next_step("models:/a/1", FormKind.OPENVINO)[:2] == ("medkd", "run-study")
    assert "openvino" in next_step("models:/a/1", FormKind.OPENVINO)
