"""Do breast ultrasound classifiers look at the calipers that were burnt into the pictures? They are hidden, and as much elsewhere.

``python -m tests.benchmarks.calipers --run RUN --json`` asks the registered models of a BUS-BRA run (`medkd run flows/recipes/busbra.yaml`; with ``--name
busbra-no-calipers`` of `busbra_no_calipers.yaml`, whose training pictures were painted over), those that are there.
Crosses are found by their shape in the validation pictures at full resolution; each is replaced by the median of the ring round it, and the
same boxes are replaced at a drawn angle round the lesion instead (eight draws). Figures are means over pictures of |change of the margin of the
answer|, in logits, with 95 % intervals over patients.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy import ndimage

import flows
from medkd.evaluation.bootstrap import bootstrap_figure, mean_of
from medkd.registry.load_version import load_registered
from medkd.registry.publish import open_registry
from medkd.storage.workspace import local_workspace
from medkd.targets import class_margin
from medkd.training.recipes import read_recipe
from medkd.volumes.letterbox import letterbox
from medkd.volumes.window import window_intensity

DRAWS = 8
MODELS = ("teacher", "alone", "kd", "kd_explanation")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("runs/busbra"), help="run folder with the registry")
    parser.add_argument("--name", default="busbra", help="name of the recipe")
    parser.add_argument("--json", action="store_true", help="only the last line")
    asked = parser.parse_args()
    recipe = read_recipe(Path(flows.__file__).parent / "recipes" / "busbra.yaml")
    folder = Path(os.environ.get("MEDKD_DATA", "../shared/data")) / recipe.data.path
    registry = open_registry(local_workspace(asked.run))
    lines = [line for line in csv.DictReader((folder / "cases.csv").open()) if line["split"] == "val"]
    plain, without, elsewhere, patients = pictures(folder, lines, recipe.task)
    figures, intervals = {}, {}
    for name in (name for name in MODELS if registry.versions(f"{asked.name}-{name}")):
        _, _, network = load_registered(registry, f"models:/{asked.name}-{name}/1")
        before = logits_of(network, plain)
        target = class_margin(before.argmax(1))
        hidden = (target(logits_of(network, without)) - target(before)).abs()
        control = torch.stack([(target(logits_of(network, one)) - target(before)).abs() for one in elsewhere]).mean(0)
        for what, values in (("calipers", hidden), ("elsewhere", control), ("difference", hidden - control)):
            figure = bootstrap_figure(mean_of(values.double().numpy()[None]), patients)
            key = f"{name}_{what}"
            figures[key], intervals[key] = round(figure.mean, 4), [round(figure.low, 4), round(figure.high, 4)]
            if not asked.json:
                sys.stdout.write(f"{key:32s} {figure.mean:7.3f} [{figure.low:.3f}, {figure.high:.3f}] logit\n")
    details = {"pictures": len(plain), "patients": len(set(patients))}
    sys.stdout.write(json.dumps({"figures": figures, "peers": {}, "n": len(plain), "intervals": intervals, **details}) + "\n")


def pictures(folder: Path, lines, task):
    """Return the pictures with two calipers or more as networks see them, without their calipers, without as much elsewhere, and patients."""
    plain, without, elsewhere, patients = [], [], [[] for _ in range(DRAWS)], []
    rng = np.random.default_rng(0)
    for line in lines:
        pixels = np.asarray(Image.open(folder / "images" / f"{line['ID']}.png").convert("L"))
        boxes = crosses(pixels)
        if len(boxes) < 2:
            continue
        centre = np.argwhere(np.asarray(Image.open(folder / "masks" / f"{line['ID']}.png")) > 0).mean(0)
        plain.append(seen(pixels, task))
        without.append(seen(hidden(pixels, boxes), task))
        for draw in elsewhere:
            draw.append(seen(hidden(pixels, turned(boxes, centre, pixels.shape, rng)), task))
        patients.append(line["patient"])
    return torch.cat(plain), torch.cat(without), [torch.cat(draw) for draw in elsewhere], patients


def crosses(pixels):
    """Return the boxes of thin bright crosses: components of the white top-hat, as wide as high, full in the middle and empty in the corners."""
    bright = pixels.astype(float)
    stroke = (bright - ndimage.grey_opening(bright, size=(5, 5)) > 80) & (bright > 150)
    labelled, _ = ndimage.label(stroke, structure=np.ones((3, 3)))
    found = []
    for place in ndimage.find_objects(labelled):
        part = labelled[place] > 0
        high, wide = part.shape
        if not (5 <= high <= 19 and 5 <= wide <= 19 and abs(high - wide) <= 3):
            continue
        row, column = high // 2, wide // 2
        arms = part[row - 1 : row + 2].any(0).mean() + part[:, column - 1 : column + 2].any(1).mean()
        corners = part[: high // 4 + 1, : wide // 4 + 1].mean() + part[-high // 4 :, -wide // 4 :].mean()
        if part.mean() < 0.65 and arms > 1.7 and corners < 0.5:
            found.append(place)
    return found


def hidden(pixels, boxes):
    """Return the picture with each box, grown by two pixels, filled with the median of the ring of four round it."""
    found = pixels.copy()
    for rows, columns in boxes:
        inner = tuple(slice(max(0, s.start - 2), s.stop + 2) for s in (rows, columns))
        outer = tuple(slice(max(0, s.start - 6), s.stop + 6) for s in (rows, columns))
        ring = pixels[outer].astype(float)
        ring[
            inner[0].start - outer[0].start : inner[0].stop - outer[0].start,
            inner[1].start - outer[1].start : inner[1].stop - outer[1].start,
        ] = np.nan
        found[inner] = np.nanmedian(ring)
    return found


def turned(boxes, centre, shape, rng):
    """Return boxes of the same sizes as far from the lesion's centre at drawn angles, inside the picture."""
    found = []
    for rows, columns in boxes:
        size = np.array([rows.stop - rows.start, columns.stop - columns.start])
        away = np.linalg.norm(np.array([rows.start, columns.start]) + size / 2 - centre)
        for _ in range(64):
            angle = rng.uniform(0, 2 * np.pi)
            begin = np.round(centre + away * np.array([np.sin(angle), np.cos(angle)]) - size / 2).astype(int)
            if (begin >= 0).all() and (begin + size <= shape).all():
                break
        begin = np.clip(begin, 0, np.array(shape) - size)
        found.append((slice(begin[0], begin[0] + size[0]), slice(begin[1], begin[1] + size[1])))
    return found


def seen(pixels, task):
    """Return a picture as networks see it, [1, 1, row, column]."""
    image, _ = letterbox(pixels, tuple(task.image_size))
    return window_intensity(torch.from_numpy(image.copy()), task.window)[None, None]


def logits_of(network, images):
    with torch.no_grad():
        return torch.cat([network(some) for some in images.split(16)])


if __name__ == "__main__":
    main()
