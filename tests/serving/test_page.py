"""The page of a served model is a pure function of what was found, and no name in it becomes markup."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from data_contracts import Caveat
from medkd.serving.page import MOST_PICTURES, PageFinding, render_page
from medkd.serving.study import StudyAnswer
from tests.dicom.invented import volume

SHAPE = (4, 10, 12)
VALUES = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
COLUMNS = {"volume_ml": 1.234, "diameter_mm": 5.67, "side": "left", "first_slice": 1, "last_slice": 2}
HOSTILE = "<script>alert('x')</script>&\"<img src=http://a.b/c>"


def mask():
    marked = np.zeros(SHAPE, dtype=np.uint8)
    marked[1:3, 2:6, 3:8] = 1
    return marked


def found(class_name="Lesion", **more):
    return PageFinding(**{"class_name": class_name, "key_slice": 1, "columns": COLUMNS, "mask": mask(), "map_index": 1, **more})


def page(*findings, values=VALUES, maps=None, name="net", caveats=()):
    return render_page(values, StudyAnswer(maps=maps or {}), findings, volume(shape=SHAPE), name, caveats)


def pictures(text):
    """Return the pixels of every picture of a page."""
    return [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(payload))).convert("RGB"))
        for payload in re.findall(r'src="data:image/png;base64,([^"]+)"', text)
    ]


def test_the_same_answer_gives_the_same_bytes():
    maps = {1: np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)}
    assert page(found(), maps=maps) == page(found(), maps={1: maps[1].copy()})
    assert page(found(), maps=maps) != page(found(), maps={1: -maps[1]})


def test_names_and_caveats_are_text_and_never_markup():
    text = page(found(HOSTILE), name=HOSTILE, caveats=(Caveat(code="X", text=HOSTILE, severity=1),))
    assert "<script" not in text
    assert "<img src=http" not in text
    assert text.count("&lt;script&gt;") == 5  # title, heading, caveat, finding, what its picture shows
    assert "alert(&#39;x&#39;)" in text


def test_it_runs_nothing_and_fetches_nothing():
    text = page(found(), maps={1: VALUES}, caveats=(Caveat(code="X", text="a", severity=3),))
    assert "default-src 'none'" in text
    assert not re.search(r"<(script|link|iframe|object|embed|form)\b|\son\w+\s*=|javascript:|@import", text)
    without_pictures = re.sub(r'src="data:image/png;base64,[^"]+"', "", text)
    assert not re.search(r"(src|href)\s*=|url\(|https?://|//\w", without_pictures)


def test_figures_are_those_of_the_finding():
    text = page(found(), found(columns={"probability": 0.91827, "first_slice": 0, "last_slice": 3}, key_slice=None, mask=None))
    assert "net: 2 findings" in text
    assert "CT, 4 × 10 × 12 voxels (slices, rows, columns) of 2.00 × 1.50 × 1.00 mm" in text
    for said in ("1.23 ml", "5.7 mm", "<dd>left</dd>", "<dd>2 to 3</dd>", "0.918 (mean over the slices)", "<dd>1 to 4</dd>"):
        assert said in text
    assert text.count("<dt>volume</dt>") == text.count("<dt>probability</dt>") == 1


def test_without_a_finding_it_says_so_and_not_that_there_is_none():
    text = page()
    assert "net: 0 findings" in text
    assert "Nothing was found. That does not say that nothing is there." in text
    assert "Nothing was found" not in page(found())
    assert "net: 1 finding<" in page(found())


def test_the_gravest_caveat_comes_first():
    caveats = [Caveat(code=name, text=f"caveat {name}", severity=severity) for name, severity in (("a", 1), ("b", 3), ("c", 2))]
    text = page(found(), caveats=tuple(caveats))
    assert [text.index(f"caveat {name}") for name in "bca"] == sorted(text.index(f"caveat {name}") for name in "bca")
    assert '<li class="grave">caveat b</li>' in text
    assert text.count('class="grave"') == 1
    assert "Before you look" not in page(found())


def test_the_outline_lies_on_the_edge_of_the_mask_and_the_rest_is_the_slice():
    (shown,) = pictures(page(found()))
    yellow = (shown == (255, 210, 63)).all(-1)
    edge = mask()[1].astype(bool)
    edge[3:5, 4:7] = False  # what has all four neighbours within
    assert np.array_equal(yellow, edge)
    assert (shown[~yellow][:, 0] == shown[~yellow][:, 2]).all()
    low, high = np.percentile(VALUES, (1, 99))
    wanted = np.rint(np.clip((VALUES[1] - low) / (high - low), 0, 1) * 255)
    assert np.abs(shown[..., 0][~yellow] - wanted[~yellow]).max() <= 1


def test_a_map_is_shown_beside_the_slice_orange_where_it_speaks_for_it_and_blue_against():
    attribution = np.zeros(SHAPE, dtype=np.float32)
    attribution[1, 2, 2], attribution[1, 8, 8] = 3.0, -3.0
    _, shown = pictures(page(found(mask=None), values=np.zeros(SHAPE, dtype=np.float32), maps={1: attribution}))
    assert shown[2, 2, 0] > shown[2, 2, 2]
    assert shown[8, 8, 2] > shown[8, 8, 0]
    assert len(pictures(page(found(map_index=0), maps={1: attribution}))) == 1


@pytest.mark.parametrize(("key_slice", "caption"), [(0, "slice 1 of 4"), (3, "slice 4 of 4"), (None, "slice 3 of 4")])
def test_the_slice_is_named_and_of_a_whole_volume_it_is_the_middle_one(key_slice, caption):
    assert f"<figcaption>{caption}</figcaption>" in page(found(key_slice=key_slice))


def test_only_the_first_findings_have_pictures_and_the_page_says_so():
    text = page(*[found()] * (MOST_PICTURES + 2))
    assert text.count("<figure>") == MOST_PICTURES
    assert f"{MOST_PICTURES + 2}. Lesion" in text
    assert f"Pictures are shown of the first {MOST_PICTURES} findings." in text
    assert "Pictures are shown" not in page(*[found()] * MOST_PICTURES)


def test_an_even_volume_has_a_picture_all_the_same():
    assert len(pictures(page(found(), values=np.full(SHAPE, 5.0, dtype=np.float32), maps={1: np.zeros(SHAPE, dtype=np.float32)}))) == 2
