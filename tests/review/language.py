"""A page as it is read in one of its languages."""

from __future__ import annotations

import re


def in_language(page, language):
    """Return a page without the texts of its other languages, and those of this one without the element that marks them."""
    other = {"en": "zh", "zh": "en"}[language]
    page = re.sub(rf'<span class="{other}" lang="[\w-]+">[^<]*</span>', "", page)
    return re.sub(rf'<span class="{language}" lang="[\w-]+">([^<]*)</span>', r"\1", page)


def visible(page):
    """Return the text of a page without style, script and markup."""
    return re.sub(r"<(style|script).*?</\1>|<[^>]+>", " ", page, flags=re.S)
