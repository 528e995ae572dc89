"""Several stores answer about one batch, each as it would by itself; mixed, as the live teachers mixed."""

from __future__ import annotations

import pytest
import torch

from data_contracts import ExtractionConfig, KnowledgeError, MapSpec, Task
from medkd.knowledge.interface import LiveKnowledge
from medkd.knowledge.mixture import MixtureKnowledge, mean_weights
from medkd.knowledge.mixture_source import MixtureSource
from medkd.knowledge.source import KnowledgeSource
from medkd.knowledge.stored import StoredSource, with_teacher_outputs
from medkd.knowledge.stored_set import CohortWithSeveralTeachers, StoredMember
from medkd.storage.store import Store
from medkd.targets import class_margin, lesion_margin
from medkd.volumes.augment import View, apply_view
from medkd.volumes.mix import mix
from tests.knowledge.small_stores import FIT, decided, extract, pictures

CLASSES = ("a", "b")


@pytest.fixture
def stores(make_network, make_sample, task, tmp_path):
    wanted = Task(kind=task, classes=CLASSES, image_size=(32, 32))
    cohort, store = pictures(make_sample), Store(tmp_path)
    teachers = [decided(make_network(seed)) for seed in (1, 2)]
    config = ExtractionConfig(features={"last": 32}, maps=(MapSpec(explainer="cam", grid=32),))
    records = [extract(one, wanted, cohort, store, config, digest=letter * 64) for one, letter in zip(teachers, "ab", strict=True)]
    parts = (("logits", "features/last", "maps/cam"), ("logits", "maps/cam"))
    members = tuple(with_teacher_outputs(cohort, record, store, own) for record, own in zip(records, parts, strict=True))
    sources = {
        name: StoredMember(StoredSource(record, CLASSES), number) for number, (name, record) in enumerate(zip("ab", records, strict=True))
    }
    return teachers, CohortWithSeveralTeachers(members), MixtureSource(sources), wanted


def test_stored_answers_mix_as_the_live_ones_do(stores, task):
    teachers, cohort, source, wanted = stores
    sample = cohort.draw(torch.tensor([3, 0, 1]), wanted, FIT, torch.Generator())
    live = MixtureKnowledge([LiveKnowledge(one, sample.inputs) for one in teachers], mean_weights)
    stored = source.for_batch(sample)
    # As probabilities: of a class that is as good as excluded the codec does not keep how far. Of a segmentation in the mean: untrained networks change from
    # pixel to pixel, which is what the codec leaves out where a margin is wide.
    apart = (stored.logits().exp() - live.logits().exp()).abs()
    assert float(apart.mean() if task == "segmentation" else apart.max()) < (0.03 if task == "segmentation" else 1e-6)
    alone = [source.members[name].for_batch(sample) for name in "ab"]
    together = torch.stack([one.logits().log_softmax(1) for one in alone]).logsumexp(0) - torch.tensor(2.0).log()
    torch.testing.assert_close(stored.logits().log_softmax(1), together.log_softmax(1), atol=1e-5, rtol=1e-5)
    target = class_margin(0) if task == "classification" else lesion_margin(sample.masks)
    maps = [one.attribution("cam", target).flatten(1) for one in (stored, live)]
    assert float(torch.cosine_similarity(*maps).min()) > 0.99
    torch.testing.assert_close(stored.features("last"), LiveKnowledge(teachers[0], sample.inputs).features("last"), atol=0.02, rtol=0.02)


def test_a_member_reads_its_own_part_and_nothing_of_the_other(stores):
    _, cohort, source, wanted = stores
    sample = cohort.draw(torch.arange(2), wanted, FIT, torch.Generator())
    assert set(sample.teacher) == {"0|logits", "0|features/last", "0|maps/cam", "1|logits", "1|maps/cam"}
    member = source.members["b"]
    assert isinstance(member, KnowledgeSource)
    alone = cohort.members[1].draw(torch.arange(2), wanted, FIT, torch.Generator())
    torch.testing.assert_close(member.for_batch(sample).logits(), alone.teacher["logits"])
    with pytest.raises(KnowledgeError, match="features/last"):
        member.for_batch(sample).features("last")
    assert member.layers() == ("last",)
    member.ask_for(("last",))
    assert member.prepared(torch.device("cpu"), channels_last=False) is member


def test_everything_moves_and_is_mixed_with_the_image(stores):
    _, cohort, _, wanted = stores
    sample = cohort.draw(torch.arange(2), wanted, FIT, torch.Generator())
    mirrored = apply_view(sample, View(torch.tensor([True, True])))
    for name, values in sample.teacher.items():
        assert torch.equal(mirrored.teacher[name], values.flip(-1) if values.ndim == 4 else values)
    blended = mix(sample, FIT.model_copy(update={"mix": "mixup"}), torch.Generator().manual_seed(1))
    # Answers are blended as probabilities, whosever they are: each class of the mixture lies between the two cases'.
    for number in "01":
        p, both = blended.teacher[f"{number}|logits"].softmax(1), sample.teacher[f"{number}|logits"].softmax(1)
        assert bool((p <= both.amax(0) + 1e-5).all())
        assert bool((p >= both.amin(0) - 1e-5).all())


def test_one_view_is_drawn_for_all_stores(make_network, make_sample, task, tmp_path):
    wanted = Task(kind=task, classes=CLASSES, image_size=(32, 32))
    cohort, store, fit = pictures(make_sample), Store(tmp_path), FIT.model_copy(update={"augment": "affine"})
    config = ExtractionConfig(views=2)
    records = [
        extract(decided(make_network(seed)), wanted, cohort, store, config, digest=letter * 64, views=fit)
        for seed, letter in ((1, "a"), (2, "b"))
    ]
    several = CohortWithSeveralTeachers(tuple(with_teacher_outputs(cohort, record, store, ("logits",)) for record in records))
    sample = several.draw(torch.tensor([1, 4, 0]), wanted, fit, torch.Generator().manual_seed(3))
    assert sample.view == "frozen"
    alone = [member.draw(torch.tensor([1, 4, 0]), wanted, fit, torch.Generator().manual_seed(3)) for member in several.members]
    for number, one in enumerate(alone):
        assert torch.equal(one.image, sample.image)
        assert torch.equal(one.teacher["logits"], sample.teacher[f"{number}|logits"])
    other = extract(decided(make_network(3)), wanted, cohort, store, ExtractionConfig(), digest="c" * 64)
    with pytest.raises(KnowledgeError, match="same views") as caught:
        CohortWithSeveralTeachers((several.members[0], with_teacher_outputs(cohort, other, store, ("logits",))))
    assert caught.value.code == "KNOWLEDGE_MISSING"
    assert len(several) == 5
    assert several.patients() == cohort.patients()
    assert several.nbytes() == cohort.nbytes()
    assert len(several.to(torch.device("cpu"))) == 5
