"""What is wrong with a file is said in one sentence, with its line."""

from __future__ import annotations

import pytest

from data_contracts import RecipeError
from flows.compress_recipe import SHIPPED
from medkd.compression.read_compression_recipe import data_recipe, read_compression_recipe

GOOD = "schema_version: compression_recipe/1\nname: r\nrecipe: hippocampus\nmodel: models:/m/1\ncandidates:\n  int8: {quantise: {}}\n"


def written(tmp_path, text):
    path = tmp_path / "compress.yaml"
    path.write_text(text)
    return path


def test_every_shipped_recipe_is_read_and_names_a_shipped_recipe():
    shipped = sorted((SHIPPED / "compression").glob("*.yaml"))
    assert [path.stem for path in shipped] == ["busbra", "hippocampus", "phantom-segmentation"]
    for path in shipped:
        recipe = read_compression_recipe(path)
        assert data_recipe(path, recipe.recipe, SHIPPED) == SHIPPED / f"{recipe.recipe}.yaml"


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        (None, "RECIPE_MISSING", "found no file"),
        ("candidates: [", "RECIPE_UNREADABLE", "compress.yaml"),
        ("- 1", "RECIPE_UNREADABLE", "got list"),
        (GOOD.replace("int8: {quantise: {}}", "int8: {quantise: {method: magic}}"), "RECIPE_INVALID", "compress.yaml:6"),
        (GOOD.replace("int8", "torch"), "RECIPE_INVALID", "other names of candidates"),
        (GOOD.replace("int8: {quantise: {}}", "int8: {quantise: {by: onnx}}"), "RECIPE_INVALID", "expected runtime 'onnx'"),
        (GOOD + "surprise: 1\n", "RECIPE_INVALID", "surprise"),
    ],
)
def test_what_is_wrong_has_a_code_and_a_line(tmp_path, text, code, said):
    path = tmp_path / "compress.yaml" if text is None else written(tmp_path, text)
    with pytest.raises(RecipeError, match=said) as caught:
        read_compression_recipe(path)
    assert caught.value.code == code


def test_the_recipe_of_the_data_lies_beside_it_or_is_shipped(tmp_path):
    path = written(tmp_path, GOOD)
    assert data_recipe(path, "hippocampus", SHIPPED) == SHIPPED / "hippocampus.yaml"
    (tmp_path / "own.yaml").write_text("")
    assert data_recipe(path, "own.yaml", SHIPPED) == tmp_path / "own.yaml"
    for name, code in (("nobody", "RECIPE_MISSING"), ("../secret.yaml", "RECIPE_PATH"), ("/etc/passwd", "RECIPE_PATH")):
        with pytest.raises(RecipeError) as caught:
            data_recipe(path, name, SHIPPED)
        assert caught.value.code == code
