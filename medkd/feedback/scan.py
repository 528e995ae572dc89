"""Free text scanned for what identifies somebody, in English and Chinese: a text is refused, never repaired, and never repeated.

Patterns find what has a form (dates, numbers, addresses) or stands beside a word that gives it away (titles, ``patient``, ``先生``). A name alone is found
when its first name is a frequent one. What this finds and what it misses is measured in ``tests/feedback/test_scan.py``; it stands beside the
instruction to write nothing that identifies a patient, and not for it.
"""

from __future__ import annotations

import re
import unicodedata

from data_contracts import FeedbackError
from medkd.dicom.confidentiality.scan_words import DESCRIPTION_WORDS
from medkd.dicom.confidentiality.vocabulary import VOCABULARY
from medkd.feedback._names import CHINESE_SURNAMES, GIVEN_NAMES

_WHOLE_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_MONTHS = rf"(?:{_WHOLE_MONTHS}|(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.?)"
#: In small letters too, but for "may" and "march", which are words.
_ANY_MONTH = rf"(?:{_MONTHS}|{_MONTHS.upper()}|{_MONTHS.lower().replace('march|', '').replace('may|', '')})"
_YEAR = r"(?:19|20)\d\d"
_HAN = r"[\u4e00-\u9fff]"
_HAN_BEFORE_LATIN = re.compile(rf"{_HAN}(?=[A-Za-z0-9+])")
_SURNAME = f"(?:{'|'.join(CHINESE_SURNAMES)})"
_NAME = r"[A-Z][A-Za-z'’-]+"
#: Chinese words that begin like a surname, and stand before titles or behind "patient" in ordinary reports.
_NO_NAMES = re.compile(
    "由于|对于|关于|至于|高年资|任何|高血压|高血脂|高血糖|高热|高烧|高龄|高度|高危|黄疸|石膏|白内障|白血病|方位|方案|陈旧|高密度|高信号|史料|史明确"
    "|病史|余无|余未|余部|余肺|严重|安静|安装|方可|时间|时相|明显|曾有|曾经|曾行|段内|段见|全身|单发|单侧|成人|成年|和医|向医|与医"
)
#: Kinds of identifiers in the order in which they are looked for, the narrower first.
_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("an e-mail address", re.compile(r"[\w.+-]{1,64}\s?@\s?[\w-]{1,63}(?:\.[\w-]{1,63})+")),
    ("a web address", re.compile(r"(?i)\bhttps?://|\bwww\.\w")),
    ("a path of a machine", re.compile(r"(?i)(?<!\w)[a-z]:\\\w|\\\\\w+\\\w|(?<![\w/])/(?:home|users|mnt|media|data|root|srv|var|tmp)/\w")),
    ("a DICOM UID", re.compile(r"(?<![\d.])(?:[0-2](?:\.\d+){4,}|2\.25\.\d{6,})")),
    ("a Chinese identity number", re.compile(r"(?<!\d)\d{17}[\dXx](?![\dA-Za-z])")),
    (
        "a date",
        re.compile(
            rf"(?<![\w.]){_YEAR}[-/.]\d{{1,2}}(?:[-/.]\d{{1,2}})?(?!\d|\s?[mc]m\b|\.\d)|(?<!\d){_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?!\d)"
            r"|(?<![\w./-])(?:0?[1-9]|[12]\d|3[01])(?:([./-])(?:0?[1-9]|1[0-2])\1(?:(?:19|20)\d\d|\d\d))(?![\w/-]|\.\d|\s?[mc]m\b)"
            r"|(?<![\w./-])(?:0?[1-9]|1[0-2])/(?:0?[1-9]|[12]\d|3[01])/(?:(?:19|20)\d\d|\d\d)(?![\w/-]|\s?[mc]m\b)"
            rf"|\b\d{{1,2}}(?:st|nd|rd|th)?[\s-]+(?:of\s+)?{_ANY_MONTH}\b|\b(?!May\s+\d+\s+[a-z]){_MONTHS}\s+\d{{1,2}}(?:st|nd|rd|th)?\b(?!\s?[mc]m)|\b{_ANY_MONTH},?\s+{_YEAR}\b"
            rf"|(?:\d{{2,4}}|[〇零一二三四五六七八九]{{2,4}})年\s?(?:\d{{1,2}}|[一二三四五六七八九十]{{1,3}})月"
            r"|(?<!\d)(?:1[0-2]|0?[1-9])月\s?(?:3[01]|[12]\d|0?[1-9])[日号]|(?<!个)[一二三四五六七八九十]{1,2}月[一二三四五六七八九十]{1,3}[日号]"
        ),
    ),
    (
        "a number of a patient or an examination",
        re.compile(
            r"(?i)\b(?:mrn|pid|hosp(?:ital)? ?(?:no|number|id)|patient ?(?:no|number|id)|case ?(?:no|id)|accession(?: ?(?:no|number))?|acc|nhs|ssn|insurance|passport"
            r"|id|medical record(?: number)?)\b\s?(?:is|no|number)?\s?[.:#]*\s?[A-Za-z]{0,4}-?\d{3,}"
            r"|(?:病历|病案|住院|门诊|检查|影像|登记|患者|病人|身份证|医保|社保|护照|就诊卡|放射|CT|MR|X线)号[码]?\s?[为是:：]?\s?[A-Za-z]{0,3}-?\d{3,}"
        ),
    ),
    (
        "a telephone number",
        re.compile(
            r"\+\d[\d\s().-]{6,}\d|\(\d{2,5}\)\s?\d{3,4}[\s.-]?\d{3,4}(?!\d)|(?<![\d.])\d{3}[\s.-]\d{3}[\s.-]\d{4}(?!\d)"
            r"|(?<![\d.])0\d{1,4}[\s/-]\d{3,4}[\s-]?\d{3,4}(?!\d)|(?<!\d)1[3-9]\d[\s-]?\d{4}[\s-]?\d{4}(?!\d)"
            r"|(?i:\b(?:tel|phone|fax|mobile|call)\b|电话|手机|微信|传真)[^\d\n]{0,12}\d[\d\s-]{4,}"
        ),
    ),
    ("a long number", re.compile(r"(?<!\d)(?<!\d[.,])\d{6,}|(?<![\d.-])\d{3}-\d{2}-\d{4}(?!\d)|\b[A-Z]{1,4}-?\d{5,}(?!\w)")),
    (
        "an age above 89",
        re.compile(r"(?i)\b(?:9\d|1[01]\d)[\s-]?(?:years?|yrs?|y/?o|yo)\b|\baged? (?:9\d|1[01]\d)\b|(?<![\d.])(?:9\d|1[01]\d)\s?岁"),
    ),
    (
        "an institution",
        re.compile(
            r"\b[A-Z][\w'’.-]{1,40}(?:\s+(?:[A-Z][\w'’.-]{1,40}|of|and|the)){0,5}\s+(?:Hospitals?|Clinic|Infirmary|Medical (?:Center|Centre)|Klinikum|Krankenhaus)\b"
            rf"|\b(?:University|Hospital|Klinikum)\s+(?:of\s+)?[A-Z][a-z]{{2,}}|(?<!上级)(?<!当地)(?<!其他)(?<!外地)(?<!基层)(?<!综合)(?<!专科)(?<!三甲)(?<!教学)(?<={_HAN}{_HAN})(?<!往外)(?<!往本)(?<!我们)(?:医院|卫生院|医学中心)"
        ),
    ),
    (
        "a postal address",
        re.compile(
            r"\b\d{1,5}\s+(?:[A-Z][a-z]+\s+){1,3}(?:Street|St|Road|Rd|Avenue|Ave|Lane|Drive|Strasse|Straße)\b|[路街巷弄]\s?\d+\s?号|\d+号楼|\d+室"
        ),
    ),
)
#: What stands between a title and a name.
_PARTICLES = r"(?:(?:van|von|zu|der|den|de|del|della|di|da|dos|la|le|du|bin|ibn|al|el)\s+)*"
_TITLES = re.compile(
    r"\b(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Professor|Doctor|Sister|Nurse|Herr|Frau|Monsieur|Madame|Mme|Señora?)\.?\s+(?:med\.?\s+)?"
    + _PARTICLES
    + r"([A-Z][\w'’-]{1,40})"
    r"|\b(?:MR|MRS|DR|PROF|mr|mrs|dr|prof)\.\s?([A-Za-z][\w'’-]+)|\b(?:dr|mrs|prof)\s+([a-z][\w'’-]+)"
)
_BESIDE_PATIENT = re.compile(
    rf"\b(?:[Pp]atient|PATIENT|[Pp]t|[Nn]ame[sd]?|[Cc]alled|[Rr]adiologist|[Tt]echnologist|[Rr]eferrer)(?:'s name)?(?:\s+is|\s+was|\s+named|\s+called|:|,)?\s+({_NAME})\s+({_NAME})"
    rf"|\b(?:[Nn]ame|NAME)\s?[:=]\s?({_NAME})()"
)
_CARET = re.compile(r"[^\W\d_]{2,}\^[^\W\d_]+")
#: A first name and another word, which may be the first of a further pair: "As Mary Miller says". A surname may stand first in capitals or before a comma.
_WITH_GIVEN = re.compile(r"\b(?=([A-Z][a-z]+|[A-Z]{3,})(?:\s+[A-Z]\.?)?\s+([A-Z][\w'’-]{1,40}))")
_SURNAME_FIRST = re.compile(r"\b(?=([A-Z]{3,})\s+([A-Z]{3,})\b)|\b(?=([A-Z][\w'’-]{1,40}),\s+([A-Z][a-z]+|[A-Z]{3,})\b)")
_CHINESE_TITLE = re.compile(
    f"{_SURNAME}{_HAN}{{0,2}}(?:先生|女士|小姐|太太|医生|医师|大夫|主任|教授|护士|老师|同志|阿姨|大爷)|{_SURNAME}某某?"
)
_CHINESE_NAME = re.compile(
    rf"(?:姓名|名叫|患者|病人|病患|患儿)\s?[为是叫:：]?\s?{_SURNAME}{_HAN}{{1,2}}(?=$|[\s,，。；;、:：（(]|[男女\d])"
)
#: Words of reports are nobody's names: "Dr. review".
_WORDS = VOCABULARY | DESCRIPTION_WORDS


def find_identifiers(text: str) -> tuple[str, ...]:
    """Return which kinds of identifiers a text seems to hold, in words, each once; none where nothing was found."""
    # Chinese has no spaces: a number or a name in Latin letters begins where it ends.
    plain = _HAN_BEFORE_LATIN.sub(r"\g<0> ", unicodedata.normalize("NFKC", text))
    found = [kind for kind, pattern in _PATTERNS if pattern.search(plain)]
    if _names_somebody(plain):
        found.append("a name")
    return tuple(found)


def require_no_identifiers(field: str, text: str) -> str:
    """Return a text that holds nothing that identifies somebody, as far as :func:`find_identifiers` sees.

    Raises:
        FeedbackError: ``IDENTIFIER_IN_TEXT`` naming the field and the kinds that were found, and not the text.
    """
    found = find_identifiers(text)
    if found:
        raise FeedbackError(
            "IDENTIFIER_IN_TEXT",
            f"expected {field} without anything that identifies a person, got what looks like {' and '.join(found)}; write it in other words",
        )
    return text


def _names_somebody(text: str) -> bool:
    if _CARET.search(text):
        return True
    if any(_is_name(match[1] or match[2] or match[3]) for match in _TITLES.finditer(text)):
        return True
    if any(_is_name(match[1] or match[3]) for match in _BESIDE_PATIENT.finditer(text)):
        return True
    pairs = [match.groups() for match in _WITH_GIVEN.finditer(text)]
    pairs += [(match[2] or match[4], match[1] or match[3]) for match in _SURNAME_FIRST.finditer(text)]
    if any(first.lower() in GIVEN_NAMES and _is_name(other) for first, other in pairs):
        return True
    chinese = _NO_NAMES.sub(" ", text)
    return bool(_CHINESE_TITLE.search(chinese) or _CHINESE_NAME.search(chinese))


def _is_name(word: str) -> bool:
    return word.lower() not in _WORDS
