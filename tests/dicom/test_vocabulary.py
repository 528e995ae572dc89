"""The vocabulary is closed, and holds no common name."""

from __future__ import annotations

from medkd.dicom.confidentiality.vocabulary import VOCABULARY


def test_the_vocabulary_holds_no_word_that_is_a_common_surname():
    surnames = {
        "smith",
        "jones",
        "brown",
        "young",
        "miller",
        "king",
        "wright",
        "hill",
        "green",
        "long",
        "small",
        "white",
        "black",
        "gray",
        "bone",
    }
    # Radiology needs a few; a patient's own name is taken out of every description before.
    assert surnames & VOCABULARY == {"long", "small", "bone"}
