"""The catalogue of the page's texts: complete in every language, neutral, and the same values in each."""

from __future__ import annotations

import re

import pytest

from data_contracts import CODES, Severity
from medkd.explanation.wording import COLOURS_IN_WORDS, MASS_IN_WORDS, MEASURES_IN_WORDS
from medkd.review.texts import LANGUAGES, Said, both, in_each, listed, recognise, say, text_of, texts_of, values_in
from medkd.wording import require_neutral

#: Words that Chinese texts hold as they are: units, symbols, names of keys, files and measures, and terms of the field that have no other name.
AS_THEY_ARE = {
    *("medkd", "report.json", "UNVERIFIED", "VERIFIED", "mm", "ml", "LPS", "L", "R", "A", "P", "S", "I", "X", "T", "x", "y", "z"),
    *("Dice", "AUPRC", "IoU", "logit", "softmax", "PgUp", "PgDn", "Shift", "H", "N", "C", "CT", "PET", "Cohen", "Fleiss", "n", "torch"),
}
#: What is quoted: a publication is called as it is called.
QUOTED = {"scale.source"}


def test_all_languages_have_the_same_texts_in_the_same_order():
    first, *others = (list(texts_of(language)) for language in LANGUAGES)
    assert len(first) > 250
    assert all(other == first for other in others)


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_have_the_same_values_and_are_neutral(language):
    for key, text in texts_of(language).items():
        assert values_in(text) == values_in(texts_of("en")[key]), key
        assert text.strip() == text or key == "images.position", key
        assert require_neutral(text), key


def untranslated(text):
    """Return the words in Latin letters of a Chinese text that are not meant to stand in it."""
    words = re.findall(r"[A-Za-z_][\w.]*", re.sub(r"\{\w+\}", " ", text))
    return [word for word in words if word.rstrip(".") not in AS_THEY_ARE]


def test_no_chinese_text_holds_an_english_word():
    assert not {key: untranslated(text) for key, text in texts_of("zh").items() if key not in QUOTED and untranslated(text)}
    assert untranslated("第 {slice} 层 slice") == ["slice"]


def test_chinese_texts_are_chinese_where_the_english_are_words():
    same = {key for key, text in texts_of("zh").items() if text == texts_of("en")[key]}
    assert same == {
        *("column.number", "glossary.dice.term", "glossary.lps.term", "glossary.logit.term", "glossary.marks.term", "label.teacher"),
        *(
            "heading.0-5",
            "heading.5-20",
            "heading.>20",
            "heading.AUPRC",
            "heading.IoU",
            "size.volume_alone",
            "detail.ml",
            "check.test",
            "ruler.mm",
        ),
        *QUOTED,
    }


def test_a_text_is_written_in_every_language_and_once_where_all_are_the_same():
    assert both(say("status", status="<b>")) == (
        '<span class="en" lang="en">STATUS: &lt;b&gt;</span><span class="zh" lang="zh-Hans">状态：未审核（&lt;b&gt;）</span>'
    )
    assert both(say("label.teacher", number=2)) == "T2"
    assert both("<i>") == "&lt;i&gt;"
    assert in_each(say("label.lesion", number=3)) == {"en": "lesion 3", "zh": "病灶 3"}


def test_texts_in_texts_are_of_the_same_language():
    said = say("go.to", label=say("label.structure", number=2))
    assert [text_of(said, language) for language in LANGUAGES] == ["go to structure 2", "前往结构 2"]


def test_a_list_is_separated_as_its_language_does():
    assert in_each(listed([say("word.left"), say("word.right"), "x"])) == {"en": "left, right, x", "zh": "左侧，右侧，x"}
    assert listed([]) == ""


@pytest.mark.parametrize(
    ("text", "chinese"),
    [
        (
            "Lesion 2: volume 0.40 ml, below 1 ml; maps are least reliable on small lesions.",
            "病灶 2：体积 0.40 ml，低于 1 ml；归因图在小病灶上最不可靠。",
        ),
        (
            "Lesion 1: 60% of the positive attribution (grad_cam) lies outside every lesion.",
            "病灶 1：正向归因（grad_cam）的 60% 位于所有病灶之外。",
        ),
        (
            "only the teacher marks 2 components (the largest: 7.25 ml, side unknown, at LPS (1, -2, 3) mm); less than 10% of its voxels lie in "
            "the student's mask of the same class.",
            "仅教师模型标出 2 个连通区（最大者：7.25 ml，侧别未知，位于 LPS（1，-2，3）mm）；其体素中不足 10% 位于学生模型同一类别的分割内。",
        ),
        (
            "maps of cam by net failed: randomisation, random_lesion, tested on this study.",
            "net 的 cam 归因图未通过：随机化，随机病灶，检验在本检查上进行。",
        ),
        ("the student's largest probability is 0.51 (a, b).", "学生模型的最大概率为 0.51（a, b）。"),
    ],
)
def test_what_a_record_says_in_english_is_recognised_with_its_figures(text, chinese):
    said = recognise(text)
    assert text_of(said, "en") == text
    assert text_of(said, "zh") == chinese


@pytest.mark.parametrize("text", ["", "left lung", "a sentence of nobody.", "benign 0.20"])
def test_what_is_no_text_of_ours_stays_as_it_is(text):
    assert recognise(text) == text


def test_every_word_of_the_code_that_the_page_repeats_is_in_the_catalogue():
    measures = [meaning for _, meaning in MEASURES_IN_WORDS.values()]
    warnings = [f"{code.meaning}." for code in CODES.values() if code.severity is Severity.WARNING]
    for text in (*measures, *MASS_IN_WORDS.values(), COLOURS_IN_WORDS, *warnings):
        said = recognise(text)
        assert isinstance(said, Said), text
        assert text_of(said, "en") == text
    assert not [heading for heading, _ in MEASURES_IN_WORDS.values() if texts_of("en")[f"heading.{heading}"] != heading]
    assert not [
        code.value for code, one in CODES.items() if one.severity is Severity.WARNING and f"caveat.{code.value}" not in texts_of("en")
    ]


def test_what_is_left_out_is_recognised_word_by_word():
    """What run-times and budgets say stands in their packages in English: the page says it in every language."""
    from medkd.explanation.budget import left_out_caveats

    runtime = text_of(say("said.runtime", library="onnxruntime 1.32.0"), "en")
    for text in (runtime, left_out_caveats(("saliency 1.5/0.2", "occlusion 9.0/0.2"), 3.0)[0].text):
        assert isinstance(recognise(text), Said)
        assert text_of(recognise(text), "en") == text
        assert text_of(recognise(text), "zh") != text
