"""Words that generated text may not use: a report states quantities, units and sources, it does not persuade."""

from __future__ import annotations

import re

from data_contracts import DataError

FORBIDDEN = ("because", "proves", "diagnosis is", "is malignant", "is benign", "safe", "confirmed", "trust")
#: The same in Chinese, where words are not set apart.
FORBIDDEN_IN_CHINESE = (
    "因为",
    "由于",
    "证明",
    "证实",
    "诊断",
    "是恶性",
    "为恶性",
    "是良性",
    "为良性",
    "安全",
    "确诊",
    "确认",
    "信任",
    "可信",
)
_PATTERN = re.compile(r"\b(" + "|".join(re.escape(word) for word in FORBIDDEN) + r")\w*|" + "|".join(FORBIDDEN_IN_CHINESE), re.IGNORECASE)


def require_neutral(text: str) -> str:
    """Return a generated text, or refuse it.

    Raises:
        DataError: ``WORDING``, naming the forbidden word.
    """
    found = _PATTERN.search(text)
    if found:
        raise DataError("WORDING", f"expected generated text of quantities and sources, it says {found.group(0)!r}")
    return text
