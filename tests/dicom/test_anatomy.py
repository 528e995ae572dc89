"""Words of anatomy are no names of people."""

from __future__ import annotations

from medkd.dicom.confidentiality.anatomy import WORDS


def test_the_words_hold_no_eponym_and_no_common_given_name():
    names = ["willis", "boyd", "dodd", "giacomini", "purkinje", "couinaud", "ion", "mark", "ali", "ed", "jack", "john", "mary", "anna"]
    assert not set(names) & set(WORDS.split())
