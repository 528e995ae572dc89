"""Words of examinations are no names of people; words of machines stay with machines."""

from __future__ import annotations

import re

from medkd.dicom.confidentiality.scan_words import AGENTS, DESCRIPTION_WORDS, DEVICE_WORDS
from medkd.dicom.confidentiality.words import clean_text

#: Common surnames and given names that are words of English, anatomy or machines.
NAMES = """
smith jones brown young miller king wright hill green white black gray stone wood cook page rose ray grant max mark may june april grace hope
dean bill rich penny victoria allegra vida ball block cross glass gross hair major palm ring root wall wing wire day price bush field lamb
rivera reid carter bishop fox wolf hunter mason taylor baker fisher potter sawyer walker summers winters noble sharpe flowers
"""
#: Descriptions as archives have them, written before the words were chosen.
ARCHIVE = """
CT CHEST/ABD/PEL W CON|CT SOFT TISSUE NECK WITH IV CONTRAST|CT COLONOGRAPHY SUPINE|CTA CHEST PE PROTOCOL|LOW DOSE CHEST SCREENING|Thin Lung 1.0
COR REFORMAT|Delayed 5 min|MIP COR|BODY 5.0 CE|Head 5mm STD|MRI CERVICAL SPINE WO|MRA HEAD|COR T2 HASTE BH|AX DWI b1000|T2 STIR SAG|AX SWI
AX T1 FLASH IN OPPOSED PHASE|dyn vibe arterial|LAVA FLEX|Cor Cube FLAIR|AX 3D TOF|PET CT SKULL BASE TO MID THIGH|CT WB AC 5.0|MIP Range
XR ANKLE 3 VIEWS LEFT|XR SPINE LUMBAR AP LAT|Foot lateral weight bearing|ABD KUB|MAMMO DIAG UNILATERAL RIGHT|R ML SPOT|L XCCL|TOMO MLO
US RENAL BLADDER|US GUIDED BIOPSY THYROID|GALLBLADDER LONG|Fetal heart 4 chamber|T2W TSE AX|sT1W_3D_TFE|mDIXON|ADC map|perfusion 4D|post fossa
coronary CTA|cardiac calcium score|aortic valve TAVR|renal stone|trauma|temporal bones|facial bones|abdomen liver protocol triphasic
"""


def test_no_word_of_a_description_is_a_common_name():
    assert not set(NAMES.split()) & DESCRIPTION_WORDS
    assert DESCRIPTION_WORDS < DEVICE_WORDS
    assert AGENTS < DESCRIPTION_WORDS


def test_of_descriptions_as_archives_have_them_nine_words_of_ten_stay():
    lines = [line for line in re.split(r"[|\n]", ARCHIVE) if line]
    words = [(word, clean_text(line).split()) for line in lines for word in re.split(r"[\s/_]+", line)]
    assert sum(word in kept for word, kept in words) >= 0.9 * len(words)
