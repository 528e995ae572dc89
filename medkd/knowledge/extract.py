"""A teacher is asked once about every case, and what it says is stored: a shard at a time, so that an interruption costs little."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from data_contracts import ExtractionConfig, KnowledgeError, MapSpec, Ref, Task, TaskKind, TrainingConfig
from data_contracts.old_names import first_names
from medkd.attribution._grid import averaged
from medkd.cohorts.tensor_cohort import TensorCohort
from medkd.cohorts.volume_cohort import VolumeCohort
from medkd.knowledge.codec import LogitCodec, encode_channels, encode_plain
from medkd.knowledge.interface import LiveKnowledge
from medkd.knowledge.shards import ENTRIES, finished_keys, write_shard
from medkd.knowledge.targets import teacher_target
from medkd.knowledge.windows import box_of, inside, over_windows
from medkd.seeds import derive_seed
from medkd.storage.store import Store, sha256_file
from medkd.targets import class_logit
from medkd.trace import Sample, Trace, frozen, layer_map_of, trace
from medkd.volumes.augment import draw_view

Cases = TensorCohort | VolumeCohort
#: Images of one forward pass.
CHUNK = 16


@dataclass(frozen=True)
class ExtractionQuery:
    """What a teacher is asked: the same question about the same image has the same answer.

    Attributes:
        teacher_digest: sha256 of its weights.
        task: its classes and windows.
        config: what is stored.
        views: how views are drawn, where the query has any.
    """

    teacher_digest: str
    task: Task
    config: ExtractionConfig
    views: TrainingConfig | None = None

    def digest(self) -> str:
        """Return what every shard of the answers carries. Class map and resolution are the student's business."""
        config = self.config.model_copy(update={"class_map": {}, "resolution": "full"})
        # Shards of the first version carry this digest: its fields keep the names that they had then.
        payload = first_names(config.model_dump(mode="json"))
        stored = hashlib.sha256(json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()
        views = None if self.views is None else {"augment": self.views.augment, "foreground_share": self.views.foreground_share}
        parts = {"teacher": self.teacher_digest, "task": self.task.digest(), "wish": stored, "views": views}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def key(self, sample: str, view: int | None) -> str:
        """Return the digest of one entry: of the question, the image (:func:`sample_digest`) and the view."""
        return hashlib.sha256(f"{self.digest()}{sample}{'clean' if view is None else view}".encode()).hexdigest()


def sample_digest(image: Tensor) -> str:
    """Return the sha256 of an image [channel, *space] as networks see it: another preparation is another image."""
    # Bytes follow memory order and type: the same image is brought to the same ones before it is hashed.
    plain = image.detach().cpu().contiguous().float()
    return hashlib.sha256(json.dumps(list(plain.shape)).encode() + plain.numpy().tobytes()).hexdigest()


def sample_digests(cohort: Cases) -> list[str]:
    """Return the digest of each case's image."""
    return [sample_digest(image) for image in cohort.images]


def frozen_view(cohort: Cases, row: int, view: int, sample: str, task: Task, config: TrainingConfig) -> Sample:
    """Return one drawn view of one case, a batch of one: a function of the image and the number of the view."""
    generator = torch.Generator().manual_seed(derive_seed("view", sample, view))
    drawn = cohort.draw(torch.tensor([row]), task, config, generator)
    return draw_view(drawn, config.augment, generator)


def map_key(config: MapSpec) -> str:
    """Return the name under which maps are stored."""
    return config.explainer + (":" + json.dumps(config.options, sort_keys=True) if config.options else "")


class Extraction:
    """One teacher, one question.

    Args:
        network: the teacher.
        query: what it is asked.
        device: where it answers.
    """

    def __init__(self, network: nn.Module, query: ExtractionQuery, device: torch.device | None = None) -> None:
        self.device = device or torch.device("cpu")
        self.network, self.query = network.to(self.device).eval().requires_grad_(False), query
        self.layers = {name: layer_map_of(network).resolve(name) for name in query.config.features}
        self.is_segmentation = query.task.kind is TaskKind.SEGMENTATION
        self.codec = LogitCodec.of(query.config)

    def entries(self, cohort: Cases, rows: Sequence[tuple[int, str, int | None]]) -> Iterator[tuple[str, dict[str, bytes]]]:
        """Yield the answers (key, part → bytes) about rows (row, sample digest, view)."""
        for begin in range(0, len(rows), CHUNK):
            some = rows[begin : begin + CHUNK]
            for (_, digest, view), answer in zip(some, self._answers(cohort, some), strict=True):
                yield self.query.key(digest, view), self._packed(answer)

    def _answers(self, cohort: Cases, rows: Sequence[tuple[int, str, int | None]]) -> list[dict[str, Tensor]]:
        if self.query.views is not None:
            config, task = self.query.views, self.query.task
            views = [frozen_view(cohort, row, view or 0, digest, task, config).image for row, digest, view in rows]
            return _split(self.ask(torch.cat(views)), len(rows))
        if isinstance(cohort, VolumeCohort):
            return [self.ask_volume(cohort.images[row]) for row, _, _ in rows]
        return _split(self.ask(cohort.images[[row for row, _, _ in rows]]), len(rows))

    def ask(self, images: Tensor) -> dict[str, Tensor]:
        """Return the answers about images [n, channel, *space]: ``logits``, ``features/LAYER``, ``maps/KEY``."""
        with frozen(self.network):
            knowledge = LiveKnowledge(self.network, {"image": images.to(self.device)}, layers=tuple(self.layers.values()))
            found = {"logits": knowledge.logits()}
            for name, cells in self.query.config.features.items():
                features = knowledge.features(self.layers[name]).float()
                found[f"features/{name}"] = averaged(features, [min(cells, extent) for extent in features.shape[2:]])
            for config in self.query.config.maps:
                found[f"maps/{map_key(config)}"] = self._maps(knowledge, config)
        return {name: values.cpu() for name, values in found.items()}

    def _maps(self, knowledge: LiveKnowledge, config: MapSpec) -> Tensor:
        """Return maps [n, maps, *cells]: closed-form class maps of every class, of other explainers the map of the teacher's answer."""
        logits = knowledge.logits()
        if config.explainer == "cam":
            parts = [knowledge.attribution("cam", class_logit(index), **config.options) for index in range(logits.shape[1])]
        else:
            parts = [knowledge.attribution(config.explainer, teacher_target(knowledge)[0], **config.options)]
        maps = torch.stack(parts, 1).float()
        return averaged(maps, [min(config.grid, extent) for extent in maps.shape[2:]])

    def ask_volume(self, volume: Tensor) -> dict[str, Tensor]:
        """Return the answers about a volume [channel, *space], window by window; features on the grid of the volume's box."""
        if self.query.config.maps:
            raise KnowledgeError(
                "KNOWLEDGE_MAPS",
                f"expected no maps of {self.query.config.maps[0].explainer!r} of whole volumes: set knowledge.views to 1 or more",
            )
        window = self.query.task.image_size

        def ask(image: Tensor) -> Mapping[str, Tensor]:
            kept = trace(self.network, image.to(self.device), layers=tuple(self.layers.values()))
            features = {f"features/{name}": kept.feature(layer).cpu() for name, layer in self.layers.items()}
            return {"logits": kept.logits.cpu(), **features}

        with frozen(self.network), torch.no_grad():
            found = over_windows(ask, volume, window, self.query.task.overlap)
        box = box_of(tuple(volume.shape[1:]), window)
        for name, cells in self.query.config.features.items():
            features = found[f"features/{name}"]
            # As many cells as the query has for one window, for each window's length of the box.
            wanted = [min(g, max(1, round(cells * e / w))) for g, e, w in zip(features.shape[1:], box.extent, window, strict=True)]
            found[f"features/{name}"] = averaged(features[None], wanted)[0]
        return {**found, "logits": inside(found["logits"], box)}

    def _packed(self, answer: Mapping[str, Tensor]) -> dict[str, bytes]:
        logits = answer["logits"]
        packed = {"logits": self.codec.encode(logits) if self.is_segmentation else encode_plain(logits)}
        return packed | {name: encode_channels(values) for name, values in answer.items() if name != "logits"}

    def write(self, cohort: Cases, digests: Sequence[str], store: Store, folder: str, *, label: str) -> Iterator[tuple[Ref, list[str]]]:
        """Write shards of all cases and views; a shard that an interrupted run finished is kept. Yields each shard and its keys.

        Args:
            cohort: cases.
            digests: of their images (:func:`sample_digests`); cases of the same image are asked about once.
            store: where shards go.
            folder: key of their folder.
            label: begins the shards' names.
        """
        # Backwards, so that the first of several equal images is the one that stays.
        first = {digest: row for row, digest in reversed(list(enumerate(digests)))}
        views: list[int | None] = [None] if self.query.config.views == 0 else list(range(self.query.config.views))
        rows = [(row, digest, view) for digest, row in sorted(first.items(), key=lambda item: item[1]) for view in views]
        query_digest = self.query.digest()
        for number, begin in enumerate(range(0, len(rows), ENTRIES)):
            some = rows[begin : begin + ENTRIES]
            path = store.root / folder / f"{label}-{number:04d}.safetensors"
            wanted = [self.query.key(digest, view) for _, digest, view in some]
            # A shard of another question or other cases may have this name: its keys say whether it is this one.
            if finished_keys(path, query_digest) != wanted:
                write_shard(path, dict(self.entries(cohort, some)), query_digest=query_digest)
            yield Ref(store=store.name, key=f"{folder}/{path.name}", sha256=sha256_file(path)), wanted

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape [1, features, *cells] of each stored layer for an image of the task's size, shallow to deep."""
        image = torch.zeros(1, self.query.task.in_channels, *self.query.task.image_size, device=self.device)
        with frozen(self.network), torch.no_grad():
            kept = trace(self.network, image, layers=tuple(self.layers.values()))
        found = {}
        order = {name: index for index, (name, _) in enumerate(self.network.named_modules())}
        for name in sorted(self.layers, key=lambda name: order[self.layers[name]]):
            features = kept.feature(self.layers[name])
            cells = self.query.config.features[name]
            found[name] = (1, features.shape[1], *(min(cells, extent) for extent in features.shape[2:]))
        return found

    def head_bias(self) -> tuple[float, ...]:
        """Return the bias of a segmentation's head where its class maps are its logits less that bias; empty where they are not."""
        if not self.is_segmentation:
            return ()
        layer_map = layer_map_of(self.network)
        image = torch.randn(1, self.query.task.in_channels, *self.query.task.image_size, generator=torch.Generator().manual_seed(0)).to(
            self.device
        )
        with frozen(self.network), torch.no_grad():
            kept = trace(self.network, image, layers=(layer_map.cam_layer,))
            return _bias_of(kept)


def _bias_of(kept: Trace) -> tuple[float, ...]:
    features, weight = kept.feature(kept.layer_map.cam_layer), kept.head_weight()
    if features.shape[2:] != kept.logits.shape[2:]:
        return ()
    bias = getattr(kept.model.get_submodule(kept.layer_map.head), "bias", None)
    values = torch.zeros(weight.shape[0], device=weight.device) if bias is None else bias.detach().float()
    maps = torch.einsum("cf,bf...->bc...", weight, features) + values.view(1, -1, *(1,) * (features.ndim - 2))
    # Tried, not assumed: a network may do something between its head and its answer.
    return tuple(values.tolist()) if torch.allclose(maps, kept.logits, atol=1e-3, rtol=1e-3) else ()


def _split(found: Mapping[str, Tensor], n: int) -> list[dict[str, Tensor]]:
    return [{name: values[row] for name, values in found.items()} for row in range(n)]


def divergence(live: Tensor, replayed: Tensor, *, first: int = 0) -> tuple[float, float]:
    """Return (mean KL(live || replayed) per voxel, share of voxels with the same argmax) of logits whose classes are axis ``first``."""
    log_p, log_q = (functional.log_softmax(logits.double(), dim=first) for logits in (live, replayed))
    # In double: the mean of millions of voxels whose divergence is nearly zero.
    kl = (log_p.exp() * (log_p - log_q)).sum(first).mean()
    return float(kl), float((live.argmax(first) == replayed.argmax(first)).double().mean())
