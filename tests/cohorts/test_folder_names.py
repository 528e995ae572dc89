from __future__ import annotations

import pytest

from data_contracts import DataError
from medkd.cohorts.folder_names import PICTURE_SUFFIXES, VOLUME_SUFFIXES, few, files_by_identifier, identifier_of, require_inside


@pytest.mark.parametrize(
    ("name", "identifier"),
    [
        ("case_1.nii.gz", "case_1"),
        ("folder/case_1.NII.GZ", "case_1"),
        ("folder\\case 1.PNG ", "case 1"),
        ("1.2.840.113", "1.2.840.113"),
        ("1.2.840.113.nii", "1.2.840.113"),
        ("case.jpeg.png", "case.jpeg"),
        (".png", ".png"),
    ],
)
def test_a_file_is_called_without_its_folder_and_its_suffix(name, identifier):
    assert identifier_of(name) == identifier


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("/etc/passwd", "is absolute"),
        ("~/x", "is absolute"),
        ("C:\\x", "is absolute"),
        ("a/../../x", "leads out of it"),
        ("a\\..\\x", "leads out of it"),
        ("a\0b", "holds a character that no file name has"),
        ("out/x", "is a link that leads out of it"),
    ],
)
def test_a_name_that_leads_out_of_its_folder_is_refused(tmp_path, name, why):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "out").symlink_to(tmp_path)
    with pytest.raises(DataError, match=f"in cases.csv, line 3, got .*which {why}; copy the file into it") as caught:
        require_inside(tmp_path / "in", name, "cases.csv, line 3", code="DATASET_UNREADABLE")
    assert caught.value.code == "DATASET_UNREADABLE"


def test_a_name_inside_need_not_exist_and_may_be_a_link_that_stays_inside(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert require_inside(tmp_path, "none\\x.png", "it") == tmp_path / "none/x.png"
    assert require_inside(tmp_path, "link/x", "it") == tmp_path / "link/x"
    assert require_inside(tmp_path, ".", "it") == tmp_path


def test_a_folder_beside_it_with_a_longer_name_is_outside(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data-of-others").mkdir()
    (tmp_path / "data" / "link").symlink_to(tmp_path / "data-of-others")
    with pytest.raises(DataError, match="is a link"):
        require_inside(tmp_path / "data", "link", "it")


def test_files_are_found_by_what_they_are_called_in_capitals_too(tmp_path):
    for name in ("a.png", "a.JPG", "b.nii.gz", ".hidden.png", "c.txt"):
        (tmp_path / name).touch()
    (tmp_path / "d.png").mkdir()
    assert files_by_identifier(tmp_path, PICTURE_SUFFIXES) == {"a": ["a.JPG", "a.png"]}
    assert files_by_identifier(tmp_path, VOLUME_SUFFIXES) == {"b": ["b.nii.gz"]}
    assert files_by_identifier(tmp_path / "none", VOLUME_SUFFIXES) == {}


@pytest.mark.parametrize(
    ("names", "said"), [([], "none"), (["a"], "'a'"), ("abcde", "'a', 'b', 'c' and 2 more"), (["x" * 70], f"'{'x' * 60}…'")]
)
def test_the_first_names_are_said_and_the_others_counted(names, said):
    assert few(names) == said
