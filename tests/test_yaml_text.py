"""YAML of strangers."""

from __future__ import annotations

import pytest

from medkd.yaml_text import YamlRefused, parse_yaml, read_yaml, yaml_lines

LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{k + 1}: &a{k + 1} [{', '.join([f'*a{k}'] * 9)}]\n" for k in range(9))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3 has the key 'a' again, which is in line 1"), ("x:\n  - {k: 1, k: 2}\n", "line 2"), ("x: {1: a, 1: b}", "'1' again"),
        (LAUGHS, "aliases counted out"), ("a: &a [1, *a]", "alias of itself"), ("a: &a {b: {c: *a}}", "alias of itself"), ("[" * 41 + "]" * 41, "deeper than 40"),
        ("[" * 50_000, "deeper"), ("- " * 60 + "x", "deeper"), ("{", "expected YAML"), ("a: 2020-99-99", "expected YAML"), ("a: !!python/object/apply:os.system [x]", "expected YAML"),
        ("a: \x00", "expected YAML"), ("? [a]\n: 1", "expected YAML"), ("a: 1\n---\nb: 2\n", "expected YAML"), ("a: !!int x", "expected YAML"), ("a: *nobody", "nobody"), ("a: " + "9" * 5000, "expected YAML"),
    ],
    ids=range(18),
)  # fmt: skip
def test_what_nobody_writes_is_refused_in_one_sentence(text, named):
    with pytest.raises(YamlRefused) as caught:
        parse_yaml(text, "x.yaml")
    assert named in str(caught.value)
    assert "x.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [("a: &a [1, 2]\nb: *a\nc: *a\n", {"a": [1, 2], "b": [1, 2], "c": [1, 2]}), ("a: &a {x: 1}\nb: {<<: *a, x: 2}\n", {"a": {"x": 1}, "b": {"x": 2}}), ("", None), ("3", 3), ("a: {b: 1}\nc: {b: 1}\n", {"a": {"b": 1}, "c": {"b": 1}})],
)  # fmt: skip
def test_what_people_write_is_read(text, value):
    assert parse_yaml(text, "x.yaml") == value


def test_files_that_are_no_text(tmp_path):
    for name, payload in (("latin", "ü".encode("latin-1")), ("huge", b" " * (2**20 + 1))):
        (tmp_path / name).write_bytes(payload)
        with pytest.raises(YamlRefused, match=name):
            read_yaml(tmp_path / name)
    with pytest.raises(YamlRefused, match="cannot be read"):
        read_yaml(tmp_path)
    (tmp_path / "bom").write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_yaml(tmp_path / "bom") == {"a": 1}


def test_every_value_knows_its_line(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("a: 1\nb: &b\n  c: [1,\n    2]\n  d: {e: f}\nmerged:\n  <<: *b\n  c: 3\nagain: *b\n", encoding="utf-8")
    lines = yaml_lines(path)
    assert lines["a",] == 1
    assert lines["b", "c", 1] == 4
    assert lines["b", "d", "e"] == 5
    assert lines["merged", "d", "e"] == 5
    assert lines["merged", "c"] == 8
    assert lines["again", "c"] == 3
