"""Explainers and measures of maps beside the libraries, in one process on the same networks: CPU seconds, peak memory, equal answers.

``python -m tests.benchmarks.explanation_speed --json`` runs itself with ``.venv-bench`` (`make bench-peers`), which has MONAI, Captum and
Quantus. Figures are medians of ratios over interleaved repeats, one thread; a figure whose answers differ from the peer's is an error.
"""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import io
import json
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch

from tests.benchmarks.command import asks_for_json

REPEATS = 5
PEERS = ("monai", "captum", "quantus")
_BENCH = Path(__file__).parents[2] / ".venv-bench" / "bin" / "python"


def main() -> None:
    """Measure and print."""
    as_json = asks_for_json(__doc__)
    if any(importlib.util.find_spec(peer) is None for peer in PEERS):
        if not _BENCH.is_file() or Path(sys.executable) == _BENCH:
            raise SystemExit(f"expected {', '.join(PEERS)} in .venv-bench, they are not there: make bench-peers")
        os.execv(_BENCH, [str(_BENCH), "-m", "tests.benchmarks.explanation_speed", *sys.argv[1:]])
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    figures: dict[str, float] = {}
    peers: dict[str, dict[str, float]] = {}
    for part in (grad_cam_beside_monai, gradients_beside_captum, five_lesions, bundle_beside_quantus, deletion_beside_quantus):
        for name, (value, details) in part().items():
            figures[name], peers[name] = round(value, 4), {key: round(number, 4) for key, number in details.items()}
            if not as_json:
                sys.stdout.write(f"{name:32s} {figures[name]:8.3f}  {peers[name]}\n")
    sys.stdout.write(json.dumps({"figures": figures, "peers": peers, "n": REPEATS}) + "\n")


def interleaved(ours: Callable[[], object], teacher_values: Callable[[], object]) -> tuple[float, dict[str, float]]:
    """Return the median ratio of CPU seconds ours / theirs, with the seconds and the least and largest ratio. Both run once before."""
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    for repeat in range(REPEATS + 1):
        for name, call in (("ours", ours), ("theirs", teacher_values)):
            started = time.process_time()
            call()
            if repeat:
                seconds[name].append(time.process_time() - started)
    ratios = [a / b for a, b in zip(seconds["ours"], seconds["theirs"], strict=True)]
    details = {f"{name}_s": statistics.median(values) for name, values in seconds.items()}
    return statistics.median(ratios), {**details, "least": min(ratios), "most": max(ratios)}


def peak_bytes(call: Callable[[], object]) -> int:
    """Return the most that torch held at once of what a call allocated."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        call()
    now = most = 0
    for event in recorded.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    return most


def classifier() -> tuple[torch.nn.Module, torch.Tensor]:
    """Return DenseNet121 and an image of 64³, as in MONAI's own example of class maps."""
    from data_contracts import NetworkSpec
    from medkd.models._build import build_network

    options = {"init_features": 64, "growth_rate": 32, "block_config": (6, 12, 24, 16), "bn_size": 4}
    network = build_network(NetworkSpec(builder="densenet", spatial_dims=3, options=options), seed=0)
    return network.eval(), torch.rand(1, 1, 64, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1


def grad_cam_beside_monai() -> dict[str, tuple[float, dict[str, float]]]:
    """Compare Grad-CAM at the last features."""
    from monai.visualize import GradCAM

    from medkd.attribution._attribute import attribute
    from medkd.targets import class_logit
    from medkd.trace import layer_map_of

    network, image = classifier()
    layer = layer_map_of(network).cam_layer
    teacher_values = GradCAM(nn_module=copy.deepcopy(network), target_layers=layer, postprocessing=lambda x: x)

    def student_values():
        return attribute(network, image, class_logit(1), explainer="grad_cam", options={"rectify": True})

    def other():
        return teacher_values(x=image, class_idx=1)

    torch.testing.assert_close(student_values(), other()[:, 0].float(), atol=1e-5, rtol=1e-3)
    time_ratio, details = interleaved(student_values, other)
    memory = {"ours_MB": peak_bytes(student_values) / 1e6, "theirs_MB": peak_bytes(other) / 1e6}
    return {
        "gradcam_time_ratio_monai": (time_ratio, details),
        "gradcam_memory_ratio_monai": (memory["ours_MB"] / memory["theirs_MB"], memory),
    }


def gradients_beside_captum() -> dict[str, tuple[float, dict[str, float]]]:
    """Compare integrated gradients of 16 steps, Captum's in chunks of the same size as ours."""
    from captum.attr import IntegratedGradients

    from medkd.attribution._attribute import attribute
    from medkd.attribution._chunk import chunk_of
    from medkd.targets import class_logit

    network, image = classifier()
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    chunk, teacher_values = chunk_of(network, image), IntegratedGradients(network)

    def student_values():
        return attribute(network, image, class_logit(1), explainer="integrated_gradients", options={"steps": 16})

    def other():
        return teacher_values.attribute(
            image, baselines=torch.full_like(image, -1.0), target=1, n_steps=16, method="gausslegendre", internal_batch_size=chunk
        )

    torch.testing.assert_close(student_values(), other().sum(1), atol=1e-5, rtol=1e-3)
    ratio, details = interleaved(student_values, other)
    return {"ig_ratio_captum": (ratio, {**details, "chunk": chunk})}


def five_lesions() -> dict[str, tuple[float, dict[str, float]]]:
    """Compare integrated gradients of five lesions in one pass with those of one: a U-Net of the demo on 96³, lesions spread over it."""
    from data_contracts import NetworkSpec
    from medkd.attribution._attribute import attribute
    from medkd.models._build import build_network
    from medkd.targets import lesion_margin, lesion_margins

    network = build_network(NetworkSpec(builder="unet", spatial_dims=3, options={"channels": (8, 16, 32)}), seed=0).eval()
    image = torch.rand(1, 1, 96, 96, 96, generator=torch.Generator().manual_seed(0)) * 2 - 1
    masks = torch.zeros(5, 96, 96, 96, dtype=torch.uint8)
    for mask, centre in zip(masks, ((16, 16, 16), (16, 48, 80), (48, 80, 16), (48, 16, 48), (80, 80, 80)), strict=True):
        mask[tuple(slice(at - 4, at + 4) for at in centre)] = 1

    def five():
        return attribute(network, image, lesion_margins(masks), explainer="integrated_gradients", options={"steps": 8})

    def one():
        return attribute(network, image, lesion_margin(masks[:1]), explainer="integrated_gradients", options={"steps": 8})

    torch.testing.assert_close(five()[:, 0], one(), atol=1e-5, rtol=1e-3)
    ratio, details = interleaved(five, one)
    return {
        "ig_five_lesions_over_one": (ratio, {key.replace("ours", "five").replace("theirs", "one"): value for key, value in details.items()})
    }


def bundle_beside_quantus() -> dict[str, tuple[float, dict[str, float]]]:
    """Compare seven measures of one map of 128³: one sort against seven calls, equal to four decimals."""
    import quantus

    from medkd.catalogue import MEASURES

    generator = torch.Generator().manual_seed(0)
    values = torch.randn(1, 128, 128, 128, generator=generator)
    mask = torch.zeros(1, 128, 128, 128, dtype=torch.uint8)
    mask[0, 40:60, 50:70, 60:80] = 1
    values[mask > 0] += 1.0
    names = ("pointing_game", "relevance_rank_accuracy", "map_auroc", "relevance_mass_accuracy", "gini", "entropy", "effective_complexity")
    quiet = {"disable_warnings": True, "display_progressbar": False}
    calls = (
        quantus.PointingGame(**quiet),
        quantus.RelevanceRankAccuracy(**quiet),
        quantus.AUC(**quiet),
        quantus.RelevanceMassAccuracy(abs=True, **quiet),
        quantus.Sparseness(**quiet),
        quantus.Complexity(**quiet),
        quantus.EffectiveComplexity(eps=0.1, **quiet),
    )
    # Quantus refuses three axes; none of the seven looks at neighbours, so that the volume may be laid out as a picture.
    s, a = (tensor.view(1, 1, 2048, 1024).numpy() for tensor in (mask, values))
    x = torch.zeros(1, 1, 2048, 1024).numpy()

    def student_values():
        fresh = values.clone()  # a map that was never sorted
        return [float(MEASURES.load(name)(fresh, mask)) for name in names]

    def other():
        with contextlib.redirect_stdout(io.StringIO()):
            found = [float(call(model=None, x_batch=x, y_batch=[0], a_batch=a.copy(), s_batch=s)[0]) for call in calls]
        return [*found[:-1], found[-1] / values.numel()]

    for name, one, two in zip(names, student_values(), other(), strict=True):
        if abs(one - two) > 5e-5:
            raise SystemExit(f"{name}: ours {one:.6f}, Quantus {two:.6f}")
    ratio, details = interleaved(student_values, other)
    return {"bundle_speedup_quantus": (1 / ratio, {**details, "least": 1 / details["most"], "most": 1 / details["least"]})}


def deletion_beside_quantus() -> dict[str, tuple[float, dict[str, float]]]:
    """Compare the deletion curve of 40 pictures of 128 by 128 in 32 steps: the network's passes are as many, in chunks as each likes them."""
    import quantus

    from data_contracts import NetworkSpec
    from medkd.inference.predict import predict_logits
    from medkd.measures._perturb import Perturbation, curve
    from medkd.models._build import build_network

    network = build_network(NetworkSpec(builder="resnet", spatial_dims=2, options={}), seed=0).eval()
    generator = torch.Generator().manual_seed(0)
    images, maps = torch.rand(40, 1, 128, 128, generator=generator) * 2 - 1, torch.randn(40, 128, 128, generator=generator)
    steps = 32
    flipping = quantus.PixelFlipping(
        features_in_step=128 * 128 // steps,
        perturb_baseline="black",
        normalise=False,
        abs=False,
        disable_warnings=True,
        display_progressbar=False,
    )

    def score(changed, _):
        return predict_logits(network, changed).softmax(1)[:, 1]

    def student_values():
        return curve(maps, Perturbation(score, images, torch.full_like(images, float(images.min())), points=steps + 1), insert=False)

    def other():
        with contextlib.redirect_stdout(io.StringIO()):
            found = flipping(
                model=network,
                x_batch=images.numpy(),
                y_batch=torch.ones(40, dtype=torch.long).numpy(),
                a_batch=maps[:, None].numpy(),
                softmax=True,
                device="cpu",
            )
        return torch.as_tensor(found)

    ours, teacher_values = student_values(), other().double()
    # Ours begins with the image as it is, theirs with the first step.
    torch.testing.assert_close(ours[:, 1:].double(), teacher_values, atol=2e-3, rtol=0.02)
    ratio, details = interleaved(student_values, other)
    return {"deletion_ratio_quantus": (ratio, details)}


if __name__ == "__main__":
    main()
