"""What may stay of coded strings and short technical texts: the standard's defined terms, and forms that name nobody.

Any attribute may hold anything: a body part has been a name, a kernel a room. What is no term of its attribute goes; codes of schemes
that nobody publishes become keyed ones, so that equal codes stay equal.
"""

from __future__ import annotations

import re
from collections.abc import Set
from functools import cache

from medkd.dicom.confidentiality.secret import pseudonym
from medkd.dicom.confidentiality.terms import all_terms, terms_of
from medkd.dicom.confidentiality.words import tokens_of

#: Coded strings whose values are numbers or letters of a form rather than terms.
_FORMS = {
    "PatientOrientation": re.compile(r"[APRLHF]{1,3}|LE|RT|[DV]|CR?|CD"),
    "ContextIdentifier": re.compile(r"\d{1,5}"),
    "TemplateIdentifier": re.compile(r"\d{1,5}"),
}
#: Coded strings that may say something of the patient: a term that is part of an identifier goes too.
_TELLING = frozenset({"BodyPartExamined", "AnatomicStructure", "ContentLabel"})
#: The first values of these say what an object is; those behind them only describe.
_HEADS = {"ImageType": 2, "FrameType": 2}
#: The fourth value of an ultrasound's Image Type says its modes by four digits (PS3.3 C.8.5.6.1.1).
_MODES_AT, _MODES = 3, re.compile(r"0[0-9A-F]{3}")
#: Schemes whose codes are published (PS3.16 Table 8-1), and the form of a code where it has one.
_SCHEMES = {
    "DCM": re.compile(r"\d{6}|[A-Z]{2,10}"),
    "SCT": re.compile(r"[1-9]\d{5,15}"),
    "SRT": re.compile(r"[A-Z0-9]{1,2}-[A-Z0-9]{3,6}"),
    "SNM3": re.compile(r"[A-Z0-9]{1,2}-[A-Z0-9]{3,6}"),
    "99SDM": re.compile(r"[A-Z0-9]{1,2}-[A-Z0-9]{3,6}"),
    "LN": re.compile(r"\d{1,5}-\d"),
    "FMA": re.compile(r"\d{2,6}"),
    "RADLEX": re.compile(r"RID\d{1,6}"),
    "NCIt": re.compile(r"C\d{3,6}"),
    "UMLS": re.compile(r"C\d{7}"),
    "NEU": re.compile(r"\d{1,5}"),
    "BI": re.compile(r"[\d.]{1,5}"),
}
#: What units of UCUM are written with.
_UNITS = (
    "mm cm m um nm km ms s min h d g kg mg ug ml mL l L dl Bq kBq MBq GBq Ci mCi Hz kHz MHz V mV kV A mA uA C mC T mT G deg rad Pa kPa Hg mmHg "
    "Cel K HU eV keV MeV Gy cGy mGy dGy Sv mSv uSv mol mmol umol pmol SUVbw SUVlbm SUVbsa SUVibw SUV counts ratio no units count arb U hnsf_U "
    "hnsf W mW J lm cd px pixel voxel voxels score uGym dioptre diop bpm B dB N kN a mo wk"
)
_PRIVATE_SCHEME = "99MEDKD"
_KERNEL = re.compile(
    r"[A-Z][a-z]?\d{2,3}[a-z]{0,2}|FC\d{2}|[A-FLU]|Y[A-C]|\d{1,2}|(?i:STANDARD|SOFT|BONE|BONEPLUS|LUNG|DETAIL|EDGE|ULTRA|CHEST|SMOOTH|SHARP)"
)
#: Stems of sequence names that consoles make; what follows them are digits, letters of options and the b-value.
_SEQUENCE = re.compile(
    r"\*?(?:epfid|epse|epir|ep_b|ep|tfl|tfi|tse|tir|tgse|spcir|spcR|spc|svs|csi|fl|fi|fm|fq|fs|gre|gr|me|mp|pc|qfl|re|se|sefi|ssfp|swi|h|hsq|b|ci|de|mbep)"
    r"(?:[23]?d?\d*)?(?:r?\d+)?(?:_\d+|_(?:ns|vfl|vb|nd)|#\d+|[rst]\d{0,3}|ns|vfl)*(?:_b\d+(?:#\d+)?|b\d+(?:#\d+)?)?",
)
#: Short technical texts that have a form of their own.
TECHNICAL = frozenset({"RescaleType", "FilterType", "ConvolutionKernel", "SequenceName"})
_RESCALE = frozenset({"OD", "HU", "US", "MGML", "Z_EFF", "ED", "EDW", "HU_MOD", "PCT"})
_FILTERS = frozenset(
    {"WEDGE", "BUTTERFLY", "MULTIPLE", "STRIP", "NONE", "FLAT", "BODY", "HEAD", "LARGE", "MEDIUM", "SMALL", "FILTER", "BOWTIE", "CARDIAC"}
)
_VERSION = re.compile(r"\d{1,4}(?:[._-]\d{1,4}){0,3}[A-Z]?|\d{8}")


def kept_codes(keyword: str, values: list[str], forbidden: Set[str]) -> list[str] | None:
    """Return the values of a coded string (VR CS) that are terms of its attribute, "" in the place of others; None where nothing is left.

    Args:
        keyword: of the attribute.
        values: as written.
        forbidden: parts of identifiers, in lower case.
    """
    kept = []
    for place, value in enumerate(text.strip().upper() for text in values):
        known = is_structural(keyword, value, place) or (_is_term(keyword, value, place) and not tokens_of(value) & forbidden)
        kept.append(value if known else "")
    while kept and kept[-1] == "" and values[-1].strip():
        kept.pop()
    return kept if any(kept) or not any(value.strip() for value in values) else None


def is_structural(keyword: str, value: str, place: int) -> bool:
    """Return whether a value is a term that says what an object is, and nothing of the patient: it stays, whoever is called so."""
    tells = keyword in _TELLING or place >= _HEADS.get(keyword, place + 1)
    return not tells and value in terms_of(keyword)


def _is_term(keyword: str, value: str, place: int = 0) -> bool:
    if keyword == "ImageType" and place == _MODES_AT:
        return value in ("", *terms_of(keyword)) or _MODES.fullmatch(value) is not None
    form = _FORMS.get(keyword)
    if form is not None:
        return value == "" or form.fullmatch(value) is not None
    # An attribute that the table does not know may still hold what is a term elsewhere (YES, NO, NONE): those name nobody.
    return value == "" or value in (terms_of(keyword) or all_terms())


def kept_technical(keyword: str, value: str) -> str | None:
    """Return a short technical text where it has the form of one, None otherwise; a Rescale Type that is none becomes US, unspecified."""
    text = value.strip()
    if keyword == "RescaleType":
        return text if text in _RESCALE else "US"
    if keyword == "FilterType":
        return text if re.fullmatch(r"\d{1,2}", text) or (text and {word.upper() for word in text.split()} <= _FILTERS) else None
    form = {"ConvolutionKernel": _KERNEL, "SequenceName": _SEQUENCE}[keyword]
    return text if form.fullmatch(text) else None


def kept_code(keyword: str, value: str, scheme: str, secret: bytes) -> str | None:
    """Return an element of a code (PS3.3 8.8): as it is where its scheme and form are public, keyed otherwise.

    Args:
        keyword: ``CodeValue``, ``CodingSchemeDesignator`` or ``CodingSchemeVersion``.
        value: as written.
        scheme: Coding Scheme Designator of the same code.
        secret: of the site: equal codes get equal keys.
    """
    public = _is_public(scheme.strip())
    if keyword == "CodingSchemeDesignator":
        return scheme.strip() if public else _PRIVATE_SCHEME
    if keyword == "CodingSchemeVersion":
        return value.strip() if public and _VERSION.fullmatch(value.strip()) else None
    if public and _has_form(scheme.strip(), value.strip()):
        return value.strip()
    return keyed_code(secret, f"{scheme.strip()}|{value.strip()}") if value.strip() else ""


def keyed_code(secret: bytes, code: str) -> str:
    """Return what stands for a code that may be anything: 16 characters, the same for the same secret."""
    return pseudonym(secret, "kode", code)[:16]


def _is_public(scheme: str) -> bool:
    return scheme in _SCHEMES or scheme == "UCUM"


def _has_form(scheme: str, value: str) -> bool:
    if scheme == "UCUM":
        return value in ucum_codes() or set(re.findall(r"[A-Za-z_]+", value)) <= set(_UNITS.split())
    if scheme == "DCM" and not value.isdigit():
        return value in dcm_codes()
    return _SCHEMES[scheme].fullmatch(value) is not None


@cache
def ucum_codes() -> frozenset[str]:
    """Return the units that the standard itself uses."""
    return _codes("UCUM")


@cache
def dcm_codes() -> frozenset[str]:
    """Return the codes that the standard defines (PS3.16 Annex D)."""
    return _codes("DCM")


def _codes(name: str) -> frozenset[str]:
    from pydicom.sr.codedict import codes

    scheme = getattr(codes, name)
    return frozenset(getattr(scheme, keyword).value for keyword in scheme.dir())
