"""The texts of the report page, in every language, from one catalogue: a file per language, with the same keys and the same values.

A text is chosen by its key and stays apart from any language until it is written. What a record says in English (a caveat, a grid, a test of
an explainer) is recognised by the English text of the catalogue, and its figures are set into the other language's; what is not recognised
is shown as it is, and marked as English.
"""

from __future__ import annotations

import functools
import re
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Union

from markupsafe import Markup, escape

from medkd.yaml_text import read_yaml

#: Name of each language's file, and its tag (BCP 47). The first is the one that records are written in.
LANGUAGES = {"en": "en", "zh": "zh-Hans"}
#: Keys of texts that a record holds in English.
_OF_RECORDS = ("said.", "detail.", "word.")
#: What values look like where anything else would be taken for them.
_LOOKS = {
    **dict.fromkeys(("number", "count", "slices", "x", "y", "z", "patients", "least_patients"), r"-?\d+"),
    **dict.fromkeys(("value", "rows", "columns"), r"-?[\d.e+-]+"),
    **dict.fromkeys(("share", "least"), r"\d+%"),
    "photometric": r"[A-Z][A-Z0-9_ ]*(?: by .+?)?",
    "side": "left|right|midline|side unknown",
    "noun": "lesion|structure|Lesion|Structure",
    "nouns": "lesions|structures|positive cases",
}
#: Values that are words or sentences of ours; the others are figures and names, which stay as they are.
_WORDED = {
    *("text", "noun", "nouns", "mass", "tests", "where", "how", "reason", "place", "components", "volume", "side", "modalities", "units"),
    *("spacing", "display", "rest", "values", "photometric", "class_name", "other"),
}


@dataclass(frozen=True)
class Said:
    """A text of the catalogue and what is set into it: figures, names, and other texts."""

    key: str
    values: tuple[tuple[str, Text], ...] = ()

    def text(self, language: str) -> str:
        """Return it in a language."""
        return texts_of(language)[self.key].format(**{name: text_of(value, language) for name, value in self.values})


Text = Union[Said, str, int]  # noqa: UP007 - an alias that names itself has to be evaluated late


def say(key: str, /, **values: Text) -> Said:
    """Return a text of the catalogue by its key."""
    return Said(key, tuple(values.items()))


def listed(parts: Iterable[Text], key: str = "list.two") -> Text:
    """Return texts in one line, by the separator of each language; "" of none."""
    found = list(parts)
    return functools.reduce(lambda one, other: say(key, one=one, other=other), found) if found else ""


def text_of(value: Text, language: str) -> str:
    """Return a text in a language; figures and names are the same in all."""
    return value.text(language) if isinstance(value, Said) else str(value)


def both(value: Text) -> Markup:
    """Return a text as markup in every language, each marked by its own; once where all of them are the same."""
    found = {language: text_of(value, language) for language in LANGUAGES}
    if len(set(found.values())) == 1:
        (text,) = set(found.values())
        return escape(text)
    spans = (f'<span class="{name}" lang="{LANGUAGES[name]}">{escape(text)}</span>' for name, text in found.items())
    return Markup("".join(spans))


def in_each(value: Text) -> dict[str, str]:
    """Return a text by language, for what scripts write."""
    return {language: text_of(value, language) for language in LANGUAGES}


@functools.cache
def texts_of(language: str) -> Mapping[str, str]:
    """Return the texts of a language by key."""
    found: dict[str, str] = read_yaml(Path(__file__).with_name(f"texts_{language}.yaml"))
    return found


def values_in(text: str) -> set[str]:
    """Return the names of what is set into a text."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def recognise(text: str) -> Text:
    """Return the text of the catalogue that a record's English text is, with its values recognised in turn; the text itself where none is it."""
    exact = _exact().get(text)
    if exact is not None:
        return say(exact)
    for key, pattern in _patterns():
        found = pattern.fullmatch(text)
        if found:
            return say(key, **{name: _worded(name, part) for name, part in found.groupdict().items()})
    return text


def _worded(name: str, text: str) -> Text:
    if name == "tests":
        return listed(recognise(part) for part in text.split(", "))
    return recognise(text) if name in _WORDED else text


@functools.cache
def _exact() -> Mapping[str, str]:
    texts = texts_of("en")
    return {texts[key]: key for key in reversed(list(texts)) if key.startswith(_OF_RECORDS) and not values_in(texts[key])}


@functools.cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Return the patterns of sentences with values, those with most fixed text first: a sentence of many words is not taken for one of few."""
    found = []
    for key, text in texts_of("en").items():
        names = values_in(text)
        if key.startswith(_OF_RECORDS) and names:
            parts = [(re.escape(fixed), name) for fixed, name, _, _ in string.Formatter().parse(text)]
            pattern = "".join(fixed + (f"(?P<{name}>{_LOOKS.get(name, '.+?')})" if name else "") for fixed, name in parts)
            found.append((sum(len(fixed) for fixed, _ in parts), key, re.compile(pattern)))
    found.sort(key=lambda one: (-one[0], one[1]))
    return tuple((key, pattern) for _, key, pattern in found)
