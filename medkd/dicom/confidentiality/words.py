"""Words that may stay in a description or in a name: what no closed vocabulary holds is dropped, whoever wrote it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Set
from functools import cache

from medkd.dicom.confidentiality.anatomy import WORDS
from medkd.dicom.confidentiality.scan_words import AGENTS, DESCRIPTION_WORDS
from medkd.dicom.confidentiality.vocabulary import VOCABULARY

#: Whole words only: what stands beside a letter of another alphabet is a piece of one.
_UNIT = r"(?:mm|MM|min|cm|sec|ml|ML|mL)"
_WORD = re.compile(
    r"(?<![\w.])(?:class=[a-z]{1,32}|[Ww]/[Oo](?!\w)|[234][Dd](?!\w)|[A-Za-z][A-Za-z]*[0-9]?[A-Za-z]{0,4}(?!\w)|"
    # Kernels (B31f, Br40d, FC08) and b-values, which are round.
    r"[A-Z][a-z]?\d{2}[a-z](?!\w)|FC\d{2}(?!\w)|[bB](?:0|50|[1-9][05]0|[1-9]\d00)(?!\w)|"
    # Numbers with what they count, and with one decimal point: a thickness. Dates have two.
    rf"\d{{1,3}}(?:\.\d{{1,2}})?(?:{_UNIT}(?!\w)|(?=\s*{_UNIT}\b|\s+(?i:views?|planes?|values)\b))|\d{{1,2}}\.\d{{1,2}}(?![\w.])|"
    # The concentration of a contrast agent.
    r"(?:240|270|300|320|350|370|400)(?!\w))"
)
_SHAPES = re.compile(r"[A-Z][a-z]?\d{2}[a-z]|FC\d{2}|[bB]\d{1,4}")
_CONCENTRATION = re.compile(r"\d{3}")
#: What may stand between a side and what it is the side of.
_BESIDE = re.compile(r"[\s_]+")
_TOKEN = re.compile(r"[^\W_]+")
#: Longest description that is written.
_LONGEST = 64


#: One letter: sides, stations, vertebrae.
_LETTERS = frozenset("lrpntcsm")
#: Words that mean nothing beside others alone: they do not begin or end a name.
_JOINTS = frozenset({"of", "in", "on", "with", "without", "and", "non", "under", "after", "before", "the"})
_JOINING = frozenset({"and", "or", "the"})
_PIECE = re.compile(r"[^\W\d_]+|\d+|[\W_]+")
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
#: A dose behind the volume that it is prescribed to may have four digits.
_PRESCRIBED = frozenset({"ptv", "ctv", "gtv", "itv", "dose", "boost"})
_SHORT = frozenset({"gm", "wm"})
_COLOURED = frozenset({"white", "gray", "grey"})


@cache
def standard_meanings() -> frozenset[str]:
    """Return the meanings of all coded concepts of the standard, which may stay as they are."""
    from pydicom.sr.codedict import codes

    schemes = (getattr(codes, name) for name in ("DCM", "SCT", "UCUM", "NCIt"))
    return frozenset(getattr(scheme, keyword).meaning for scheme in schemes for keyword in scheme.dir())


@cache
def structure_words() -> frozenset[str]:
    """Return the words, in lower case, that a name of a structure may be made of."""
    return frozenset(WORDS.split()) | VOCABULARY


def tokens_of(text: str) -> set[str]:
    """Return the whole words of a text, in lower case: letters of any alphabet and digits."""
    return {token.casefold() for token in _TOKEN.findall(unicodedata.normalize("NFC", text))}


def clean_text(value: str, forbidden: Set[str] = frozenset()) -> str:
    """Return the words of a description that the vocabulary holds, in their order.

    Args:
        value: description.
        forbidden: words, in lower case, that stay out although the vocabulary holds them: parts of the patient's names and numbers.
    """
    whole = unicodedata.normalize("NFC", value).replace("_", " ")
    kept: list[str] = []
    found = list(_WORD.finditer(whole))
    for place, match in enumerate(found):
        word = match.group()
        if word in ("L", "R"):
            stays = _is_side(whole, found, place, forbidden)
        elif _CONCENTRATION.fullmatch(word) and not re.match(rf"\s*(?:{_UNIT})\b", whole[match.end() :]):
            stays = bool(kept) and kept[-1].lower() in AGENTS and word not in forbidden
        else:
            stays = _allowed(word, forbidden)
        if stays:
            kept.append(word)
    return " ".join(kept)[:_LONGEST]


def _is_side(text: str, found: list[re.Match[str]], place: int, forbidden: Set[str]) -> bool:
    """Return whether a letter is a side: a word that may stay follows it, or nothing at all. An initial stands before a name."""
    end = found[place].end()
    if not text[end:].strip():
        return place > 0 and _allowed(found[place - 1].group(), forbidden)
    behind = found[place + 1] if place + 1 < len(found) else None
    return behind is not None and _BESIDE.fullmatch(text[end : behind.start()]) is not None and _allowed(behind.group(), forbidden)


def _allowed(word: str, forbidden: Set[str]) -> bool:
    return _is_description_word(word.lower()) and not ({word.lower(), *tokens_of(word)} & forbidden)


@cache
def _is_description_word(word: str) -> bool:
    if word[0].isdigit() or _SHAPES.fullmatch(word[0].upper() + word[1:]):
        return True
    known = VOCABULARY | DESCRIPTION_WORDS
    return word in known or (len(word) > 4 and word.endswith("s") and word[:-1] in known)


def clean_name(value: str, forbidden: Set[str] = frozenset()) -> str:
    """Return a structure's name without what is no word of anatomy, as it was written (``kidney_left``, ``GTVp1``, ``SpinalCord``).

    Numbers of up to three digits stay, and doses behind a target volume. What the standard itself calls a structure stays whole.

    Args:
        value: name.
        forbidden: words, in lower case, that stay out although they are words of anatomy.
    """
    text = unicodedata.normalize("NFC", value).strip()
    pieces = [part for piece in _PIECE.findall(text) for part in _parted(piece)]
    out: list[str] = []
    gap, lost = "", False
    for place, piece in enumerate(pieces):
        if not piece[0].isalnum():
            gap = piece if out else ""
        elif _names_structure(pieces, place, lost):
            out += [gap, piece]
            gap, lost = "", False
        else:
            gap, lost = gap or (" " if out else ""), True
    name = _without(out, forbidden)
    if name != text and text in standard_meanings() and not tokens_of(text) & forbidden:
        return text[:_LONGEST]
    return name


def _parted(piece: str) -> list[str]:
    """Return the words of a run of letters: itself where it is one, else what its capitals part."""
    if not piece[0].isalpha() or not piece.isascii() or _is_structure_word(piece.lower()):
        return [piece]
    return _CAMEL.findall(piece)


def _names_structure(pieces: list[str], place: int, behind_lost: bool) -> bool:
    """Return whether a piece may stay, by itself and by what stands beside it."""
    piece = pieces[place]
    word = piece.lower()
    if piece.isdigit():
        named = next((one.lower() for one in reversed(pieces[:place]) if one[0].isalpha()), "")
        return len(piece) <= 3 or (len(piece) == 4 and named in _PRESCRIBED and not "1900" <= piece <= "2100")
    if not piece.isascii():
        return False
    if len(word) == 1:
        # A side, a station or a vertebra; an initial stands beside points and names.
        beside = "".join(pieces[max(0, place - 1) : place] + pieces[place + 1 : place + 2])
        return word in _LETTERS and not behind_lost and not set(beside) & set(".'’^,()")
    if word in _COLOURED:
        return any(one.lower() == "matter" for one in pieces[place + 1 : place + 3])
    return _is_structure_word(word) or word in _JOINING


@cache
def _is_structure_word(word: str) -> bool:
    known = structure_words()
    if word in known or (word.endswith("s") and word[:-1] in known):
        return True
    # Written together: kidneyleft, lungr.
    return any(
        word[:cut] in known and (word[cut:] in known or word[cut:] in ("l", "r")) for cut in range(3, len(word)) if len(word) - cut != 2
    )


def _without(pieces: list[str], forbidden: Set[str]) -> str:
    """Return pieces, each behind what stands before it, without runs that spell a forbidden word."""
    words = [pieces[place + 1] for place in range(0, len(pieces), 2)]
    gaps = [pieces[place] for place in range(0, len(pieces), 2)]
    bad: set[int] = set()
    for first in range(len(words)):
        for last in range(first + 1, min(first + 5, len(words) + 1)):
            joined = "".join(words[first:last]).casefold()
            parts = {part.lower() for part in _CAMEL.findall(words[first])}
            if joined in forbidden or joined.removesuffix("s") in forbidden or (last == first + 1 and parts & forbidden):
                bad |= set(range(first, last))
    kept = [place for place in range(len(words)) if place not in bad]
    while kept and words[kept[-1]].lower() in _JOINTS:
        kept.pop()
    while kept and words[kept[0]].lower() in _JOINTS - {"non", "without", "under"}:
        kept.pop(0)
    text = "".join((gaps[place] or (" " if place - 1 in bad else "")) + words[place] for place in kept).lstrip("_-.,;:/ ")
    # Alone, numbers and letters name nothing.
    return (
        text[:_LONGEST]
        if any(words[place].isalpha() and (len(words[place]) > 2 or words[place].lower() in _SHORT) for place in kept)
        else ""
    )
