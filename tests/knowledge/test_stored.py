"""A store answers as the teacher did: clean and under views, pictures and volumes; what it cannot say is said before training."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from data_contracts import ExtractionConfig, KnowledgeError, MapSpec, NetworkSpec, Task
from medkd.catalogue import LOSSES
from medkd.cohorts.tensor_cohort import TensorCohort
from medkd.cohorts.volume_cohort import VolumeCohort
from medkd.knowledge.extract import Extraction, ExtractionQuery, divergence, frozen_view, sample_digests
from medkd.knowledge.interface import LiveKnowledge
from medkd.knowledge.stored import StoredSource, with_teacher_outputs
from medkd.models._build import build_network
from medkd.storage.store import Store
from medkd.targets import class_logit, class_margin, lesion_margin
from medkd.trace import layer_map_of, trace
from medkd.volumes.augment import View, apply_view
from medkd.volumes.orientation import Grid
from medkd.volumes.resample import align
from tests.knowledge.small_stores import FIT, cases, decided, extract, pictures, smooth


def volumes(n=3):
    generator = torch.Generator().manual_seed(0)
    shapes = [(16, 32, 32), (12, 20, 40), (40, 34, 33)][:n]
    grids = [Grid(shape, torch.eye(4, dtype=torch.float64).numpy()) for shape in shapes]
    labels = tuple((torch.rand(shape, generator=generator) > 0.7).to(torch.uint8) for shape in shapes)
    images = tuple(smooth(1, *shape, seed=i)[0] for i, shape in enumerate(shapes))
    task = Task(kind="segmentation", classes=("a", "b"), image_size=(16, 32, 32))
    return VolumeCohort(cases(n), images, labels, (True,) * n, tuple(align(grid, task) for grid in grids), labels, (None,) * n)


@pytest.fixture
def picture_task(task):
    return Task(kind=task, classes=("a", "b"), image_size=(32, 32))


SEGMENTER = NetworkSpec(builder="unet", out_channels=2, spatial_dims=3, options={"channels": (4, 8, 8)})


@pytest.fixture
def extracted(make_network, make_sample, picture_task, tmp_path):
    teacher, cohort, store = decided(make_network(1)), pictures(make_sample), Store(tmp_path)
    config = ExtractionConfig(features={"last": 32}, maps=(MapSpec(explainer="cam", grid=32), MapSpec(explainer="saliency", grid=32)))
    record = extract(teacher, picture_task, cohort, store, config)
    return teacher, cohort, store, record


PARTS = ("logits", "features/last", "maps/cam", "maps/saliency")


def margin(task, logits):
    answer = logits.argmax(1)
    return class_margin(answer) if task == "classification" else lesion_margin((answer > 0).to(torch.uint8))


def test_the_store_answers_as_the_live_teacher_does(extracted, task, picture_task):
    teacher, cohort, store, record = extracted
    sample = with_teacher_outputs(cohort, record, store, PARTS).draw(torch.tensor([3, 0]), picture_task, FIT, torch.Generator())
    stored, live = StoredSource(record, ("a", "b")).for_batch(sample), LiveKnowledge(teacher, sample.inputs)
    gap = (stored.logits() - live.logits()).float()
    level = gap.mean(1, keepdim=True) if task == "segmentation" else 0.0
    assert float((gap - level).abs().max()) < (0.2 if task == "segmentation" else 1e-6)
    torch.testing.assert_close(stored.features("last"), live.features("last"), atol=0.02, rtol=0.02)
    target = margin(task, live.logits())
    for explainer in ("cam", "saliency"):
        student_values, teacher_values = stored.attribution(explainer, target).flatten(1), live.attribution(explainer, target).flatten(1)
        assert float(torch.cosine_similarity(student_values, teacher_values).min()) > 0.99, explainer


def test_class_maps_combine_to_any_target_of_a_classification(extracted, task, picture_task):
    teacher, cohort, store, record = extracted
    sample = with_teacher_outputs(cohort, record, store, PARTS).draw(torch.arange(3), picture_task, FIT, torch.Generator())
    stored, live = StoredSource(record, ("a", "b")).for_batch(sample), LiveKnowledge(teacher, sample.inputs)
    if task == "segmentation":
        # The level of the logits is not kept: a single class cannot be explained, a margin can.
        with pytest.raises(KnowledgeError, match="margin") as caught:
            stored.attribution("cam", class_logit(1))
        assert caught.value.code == "KNOWLEDGE_MISSING"
        return
    for target in (class_logit(0), class_logit(1), class_margin(torch.tensor([0, 1, 0]))):
        torch.testing.assert_close(stored.attribution("cam", target), live.attribution("cam", target), atol=5e-3, rtol=0.05)


def test_what_is_stored_moves_with_the_image(extracted, picture_task):
    """Mirrored twice is where it was; mirrored once, everything is."""
    _, cohort, store, record = extracted
    sample = with_teacher_outputs(cohort, record, store, PARTS).draw(torch.arange(2), picture_task, FIT, torch.Generator())
    mirror = View(torch.tensor([True, True]))
    once, twice = apply_view(sample, mirror), apply_view(apply_view(sample, mirror), mirror)
    for name, values in sample.teacher.items():
        assert torch.equal(twice.teacher[name], values)
        if values.ndim == 4:
            assert torch.equal(once.teacher[name], values.flip(-1))


def test_frozen_views_are_the_teachers_own_answers_to_the_very_image_that_the_student_sees(
    make_network, make_sample, task, picture_task, tmp_path
):
    teacher, cohort, store = decided(make_network(1)), pictures(make_sample), Store(tmp_path)
    config, fit = ExtractionConfig(views=3, features={"last": 8}), FIT.model_copy(update={"augment": "affine"})
    record = extract(teacher, picture_task, cohort, store, config, views=fit)
    drawn = with_teacher_outputs(cohort, record, store, ("logits", "features/last")).draw(
        torch.tensor([1, 1, 4, 0]), picture_task, fit, torch.Generator().manual_seed(3)
    )
    assert drawn.view == "frozen"
    stored, live = StoredSource(record, ("a", "b")).for_batch(drawn), LiveKnowledge(teacher, drawn.inputs)
    assert divergence(live.logits(), stored.logits(), first=1)[0] < 5e-3
    views = {tuple(image.flatten()[:50].tolist()) for image in drawn.image}
    again = frozen_view(cohort, 4, 0, sample_digests(cohort)[4], picture_task, fit).image
    assert torch.equal(again, frozen_view(cohort, 4, 0, sample_digests(cohort)[4], picture_task, fit).image)
    assert len(views) >= 2


def test_a_patch_of_a_volume_carries_what_the_teacher_says_of_that_place(tmp_path):
    cohort, store = volumes(), Store(tmp_path)
    teacher = decided(build_network(SEGMENTER, seed=1))
    task = Task(kind="segmentation", classes=("a", "b"), image_size=(16, 32, 32))
    record = extract(teacher, task, cohort, store, ExtractionConfig(features={"last": 8, "trunk.model.1.submodule": 8}))
    held = with_teacher_outputs(cohort, record, store, ("logits", "features/last", "features/trunk.model.1.submodule"))
    sample = held.draw(torch.tensor([0, 0]), task, FIT, torch.Generator().manual_seed(0))
    live = LiveKnowledge(teacher, sample.inputs, layers=("trunk.model.1.submodule",))
    stored = StoredSource(record, ("a", "b")).for_batch(sample)
    gap = stored.logits() - live.logits()
    gap = (gap - gap.mean(1, keepdim=True)).abs().amax(1)
    # The volume fits into one window: inside of it the patch is the very image that the teacher saw.
    assert float(gap[sample.valid_mask].quantile(0.99)) < 0.3
    student_values, teacher_values = stored.features("trunk.model.1.submodule"), live.features("trunk.model.1.submodule").float()
    assert student_values.shape[1] == teacher_values.shape[1]
    teacher_values = torch.nn.functional.adaptive_avg_pool3d(teacher_values, student_values.shape[2:])
    assert float((student_values - teacher_values).abs().mean()) < 0.05 * float(teacher_values.abs().mean() + teacher_values.std())


def test_a_volume_larger_than_a_window_is_asked_about_window_by_window(tmp_path):
    cohort, store = volumes(), Store(tmp_path)
    teacher = decided(build_network(SEGMENTER, seed=1))
    task = Task(kind="segmentation", classes=("a", "b"), image_size=(16, 32, 32))
    record = extract(teacher, task, cohort, store, ExtractionConfig(features={"last": 8}))
    held = with_teacher_outputs(cohort, record, store, ("logits", "features/last"))
    sample = held.draw(torch.tensor([2, 2]), task, FIT, torch.Generator().manual_seed(5))
    whole = Extraction(teacher, held.query).ask_volume(cohort.images[2])["logits"]
    for row, corner in enumerate(sample.window.tolist()):
        there = whole[(slice(None), *(slice(max(c, 0), c + e) for c, e in zip(corner, task.image_size, strict=True)))]
        gap = sample.teacher["logits"][row] - there
        assert float((gap - gap.mean(0, keepdim=True)).abs().max()) < 0.3
    assert sample.teacher["features/last"].shape[2:] == (8, 8, 8)


def test_what_was_not_stored_is_said_before_training(extracted, picture_task):
    _, cohort, store, record = extracted
    with pytest.raises(KnowledgeError, match="grad_cam") as caught:
        with_teacher_outputs(cohort, record, store, ("logits", "maps/grad_cam"))
    assert caught.value.code == "KNOWLEDGE_MISSING"
    with pytest.raises(KnowledgeError) as caught:
        with_teacher_outputs(cohort, record, store, PARTS, teacher_digest="b" * 64)
    assert caught.value.code == "KNOWLEDGE_FOREIGN"
    other = replace(cohort, images=cohort.images + 1)
    with pytest.raises(KnowledgeError, match="5 are not stored") as caught:
        with_teacher_outputs(other, record, store, PARTS)
    assert caught.value.code == "KNOWLEDGE_MISSING"
    with pytest.raises(KnowledgeError, match="layer") as caught:
        StoredSource(record, ("a", "b")).shape("layer9", torch.zeros(0))
    assert caught.value.code == "KNOWLEDGE_MISSING"
    for ask in ("for_batch", "response"):
        with pytest.raises(KnowledgeError):
            getattr(
                StoredSource(record, ("a", "b")).for_batch(
                    with_teacher_outputs(cohort, record, store, PARTS).draw(torch.arange(2), picture_task, FIT, torch.Generator())
                ),
                ask,
            )(cohort.images[:2])


def test_an_interrupted_extraction_goes_on_and_ends_with_the_same_bytes(make_network, make_sample, picture_task, tmp_path, monkeypatch):
    from medkd.knowledge import extract as module

    monkeypatch.setattr(module, "ENTRIES", 2)
    teacher, cohort = decided(make_network(1)), pictures(make_sample)
    whole = extract(teacher, picture_task, cohort, Store(tmp_path / "a"), ExtractionConfig())
    store = Store(tmp_path / "b")
    query = ExtractionQuery("a" * 64, picture_task, ExtractionConfig())
    steps = Extraction(teacher, query).write(cohort, sample_digests(cohort), store, "knowledge", label="train")
    first, _ = next(steps)
    steps.close()
    written = store.path(first).stat().st_mtime_ns
    rest = extract(teacher, picture_task, cohort, store, ExtractionConfig())
    assert [ref.sha256 for ref in rest.shards] == [ref.sha256 for ref in whole.shards]
    assert len(rest.shards) == 3
    assert store.path(first).stat().st_mtime_ns == written


@pytest.mark.parametrize("name", LOSSES.names())
def test_every_term_over_a_teacher_reads_a_store_or_is_refused_by_the_recipe(name, extracted, task, picture_task, make_network):
    """A finite value with a gradient, close to that of the live teacher."""
    from medkd.task_context import TaskContext

    teacher, cohort, store, record = extracted
    entry = LOSSES.entry(name)
    incompatible_reason = getattr(entry.module, "incompatible_reason", lambda _: None)
    needs = entry.fact("NEEDS")
    skipped = task not in entry.fact("TASKS") or "teacher" not in needs or entry.fact("MIN_CLASSES", 2) > 2
    if skipped or needs & {"views", "responses"} or incompatible_reason(TaskContext(task, 2, from_store=True)):
        pytest.skip("no teacher, not for this task, or refused with its reason")
    student = make_network(0).train()
    sample = with_teacher_outputs(cohort, record, store, PARTS).draw(torch.arange(4), picture_task, FIT, torch.Generator())
    values = []
    for knowledge in (StoredSource(record, ("a", "b")).for_batch(sample), LiveKnowledge(teacher, sample.inputs)):
        kept = trace(student, sample.inputs, layers=(layer_map_of(student).cam_layer,))
        values.append(entry.function(kept, knowledge, sample))
    values[0].backward()
    assert any(float(p.grad.abs().max()) > 0 for p in student.parameters() if p.grad is not None)
    assert float(values[0]) == pytest.approx(float(values[1]), rel=0.1, abs=0.02)


@pytest.mark.parametrize("space", [2, 3])
def test_half_resolution_compares_averages_of_blocks_and_leaves_labels_alone(space, tmp_path):
    """The terms see the student's logits averaged over blocks of two, the teacher's too; the labels' own term sees all voxels."""
    from data_contracts import LossTerm
    from medkd.distillation.cross_entropy import cross_entropy
    from medkd.distillation.logit_kd import logit_kd
    from medkd.trace import Sample
    from medkd.training.objective import Objective
    from tests.knowledge.precomputed import PrecomputedKnowledge

    size = (32, 32) if space == 2 else (16, 32, 32)
    spec = SEGMENTER.model_copy(update={"spatial_dims": space})
    teacher, student = decided(build_network(spec, seed=1)), build_network(spec, seed=2).eval()
    cohort, task = pictures_of(space), Task(kind="segmentation", classes=("a", "b"), image_size=size)
    store = Store(tmp_path)
    record = extract(teacher, task, cohort, store, ExtractionConfig())
    drawn = with_teacher_outputs(cohort, record, store, ("logits",), resolution="half").draw(
        torch.tensor([0, 0]), task, FIT, torch.Generator().manual_seed(0)
    )
    assert drawn.teacher["logits"].shape[2:] == tuple(e // 2 for e in size)
    kept = trace(student, drawn.inputs, layers=("features",))
    objective = Objective(
        (LossTerm(loss="cross_entropy"), LossTerm(loss="logit_kd"), LossTerm(loss="attribution_transfer", options={"grid": 4}))
    )
    total, values = objective(kept, StoredSource(record, ("a", "b")).for_batch(drawn), drawn)
    total.backward()
    assert float(values["cross_entropy"]) == pytest.approx(float(cross_entropy(kept, None, drawn)), rel=1e-6)
    pool = torch.nn.functional.avg_pool2d if space == 2 else torch.nn.functional.avg_pool3d
    coarse = replace(kept, outputs={"default": pool(kept.logits, 2)})
    valid = pool(drawn.valid_mask[:, None].float(), 2)[:, 0] > 0.5
    expected = logit_kd(coarse, PrecomputedKnowledge(drawn.teacher["logits"]), Sample(inputs={}, valid_mask=valid))
    assert float(values["logit_kd"]) == pytest.approx(float(expected), rel=1e-5)
    live = LiveKnowledge(teacher, drawn.inputs).logits()
    gap = pool(live - live.mean(1, keepdim=True), 2) - drawn.teacher["logits"]
    assert float(gap.abs()[valid[:, None].expand_as(gap)].quantile(0.95)) < 0.3


def pictures_of(space):
    if space == 3:
        return volumes()
    n = 3
    masks = (smooth(n, 32, 32, seed=9)[:, 0] > 0.5).to(torch.uint8)
    everywhere = torch.ones(n, 32, 32, dtype=torch.bool)
    return TensorCohort(cases(n), smooth(n, 32, 32), torch.arange(n) % 2, masks, everywhere[:, 0, 0], everywhere, ~everywhere[:, 0, 0])


def test_maps_of_the_teachers_own_answer_are_no_maps_of_other_classes(extracted):
    *_, record = extracted
    renamed = StoredSource(record, ("x", "y"), class_map={"x": ("a",), "y": ("b",)})
    renamed.require_maps(["cam"])
    StoredSource(record, ("a", "b")).require_maps(["cam", "saliency"])
    with pytest.raises(KnowledgeError, match="saliency") as caught:
        renamed.require_maps(["cam", "saliency"])
    assert caught.value.code == "KNOWLEDGE_MISSING"
