"""What MLflow runs: it verifies the code before it runs it, and asks either about DICOM or about images."""

from __future__ import annotations

import hashlib
import json
import sys
import zipfile
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from medkd.serving import predict, served_model
from medkd.serving.predict import MedkdModel
from medkd.serving.served_model import Wanted

IMAGE = np.arange(12, dtype=np.float32).reshape(1, 3, 4)


class Recording:
    """A served model that says what it was asked."""

    def answer_tensors(self, images, wanted):
        return {"images": images, "wanted": wanted}

    def answer_study(self, source, wanted, *, number):
        return [{"source": source, "number": number, "out": wanted.out}] * 2


@pytest.fixture
def model():
    made = MedkdModel()
    made._served, made._model = served_model, Recording()
    return made


def test_images_go_in_as_arrays_whether_they_came_so_or_in_lists(model):
    for given in (IMAGE, IMAGE.tolist()):
        found = model.predict(None, pd.DataFrame({"image": [given, given]}), {"intensity": "raw"})
        assert found["wanted"] == Wanted(intensity="raw")
        assert len(found["images"]) == 2
        for image in found["images"]:
            assert image.dtype == np.float32
            assert np.array_equal(image, IMAGE)


def test_studies_give_one_table_with_the_number_of_each(model):
    found = model.predict(None, pd.DataFrame({"dicom": ["a.zip", "b.zip"]}), {"out": "somewhere"})
    assert found.to_dict("list") == {"source": ["a.zip"] * 2 + ["b.zip"] * 2, "number": [1, 1, 2, 2], "out": ["somewhere"] * 4}


def test_a_column_of_which_nothing_is_given_is_not_asked_about(model):
    assert len(model.predict(None, pd.DataFrame({"dicom": ["a"], "image": [None]}))) == 2
    assert "images" in model.predict(None, pd.DataFrame({"dicom": [None], "image": [IMAGE]}))


@pytest.mark.parametrize(
    ("given", "said"),
    [({"dicom": ["a"], "image": [IMAGE]}, r"\['dicom', 'image'\]"), ({"x": [1]}, r"\['x'\]"), ({"dicom": [None]}, r"\['dicom'\]")],
)
def test_both_columns_or_none_are_refused(model, given, said):
    with pytest.raises(ValueError, match=rf"expected either the column dicom or the column image, got {said}"):
        model.predict(None, pd.DataFrame(given))


def test_it_is_opened_with_the_digests_that_the_registry_holds(monkeypatch, tmp_path):
    opened = []
    monkeypatch.setattr(served_model, "ServedModel", lambda *places, **about: opened.append((places, about)))
    about = {"manifest_digest": "m", "serving_digest": "s", "name": "net"}
    artifacts = {"package": str(tmp_path / "package"), "serving": str(tmp_path / "serving")}
    MedkdModel().load_context(SimpleNamespace(artifacts=artifacts, model_config={**about, "more": 1}))
    assert opened == [((tmp_path / "package", tmp_path / "serving"), about)]


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """Return the folder of a serving form, where medkd is not imported and lies in the form's archive; all is put back afterwards."""
    with zipfile.ZipFile(tmp_path / "medkd-code.zip", "w") as packed:
        for name, text in {"__init__": "", "serving/__init__": "", "serving/served_model": "WHERE = 'archive'"}.items():
            packed.writestr(f"medkd/{name}.py", text)
    digest = hashlib.sha256((tmp_path / "medkd-code.zip").read_bytes()).hexdigest()
    (tmp_path / "manifest.json").write_text(json.dumps({"files": {"medkd-code.zip": {"sha256": digest}}}))
    for name in [one for one in sys.modules if one.split(".")[0] == "medkd"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(predict.tempfile, "mkdtemp", lambda **_: str(tmp_path / "unpacked"))
    return tmp_path


def test_where_medkd_is_not_imported_its_code_comes_from_the_archive(elsewhere):
    assert predict._import_served_model(elsewhere).WHERE == "archive"
    assert sys.path[0] == str(elsewhere / "unpacked")


def test_code_that_was_altered_is_refused_before_any_of_it_is_unpacked(elsewhere):
    payload = bytearray((elsewhere / "medkd-code.zip").read_bytes())
    payload[len(payload) // 2] ^= 1
    (elsewhere / "medkd-code.zip").write_bytes(payload)
    with pytest.raises(ValueError, match=r"VERSION_ALTERED: expected medkd-code\.zip"):
        predict._import_served_model(elsewhere)
    assert not (elsewhere / "unpacked").exists()
    assert "medkd" not in sys.modules


def test_where_medkd_is_imported_it_is_that_one(tmp_path):
    assert predict._import_served_model(tmp_path / "nothing is read here") is served_model
