"""Whole data sets of every encoding are known, and no beginning of one is taken for it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)

from data_contracts import DataError
from medkd.network.whole_dataset import identify, identify_file, meta_of
from tests.network.peers import small_object

SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, JPEG2000Lossless]


def written(syntax, *, undefined):
    """Return an object with sequences in sequences as a file, and its data set."""
    one = small_object("1.2.3", "1.2.4", 5, syntax)
    inner, middle = Dataset(), Dataset()
    inner.CodeValue, inner.CodeMeaning = "1", "x" * 7
    middle.PurposeOfReferenceCodeSequence = Sequence([inner])
    middle["PurposeOfReferenceCodeSequence"].is_undefined_length = undefined
    one.ReferencedImageSequence = Sequence([middle, Dataset()])
    one["ReferencedImageSequence"].is_undefined_length = undefined
    for item in one.ReferencedImageSequence:
        item.is_undefined_length_sequence_item = undefined
    if syntax == JPEG2000Lossless:
        one.PixelData = encapsulate([b"\1\2\3\4" * 9, b"\5\6"])
        one["PixelData"].is_undefined_length = True
    elif syntax == ExplicitVRBigEndian:
        one.PixelData = np.frombuffer(one.PixelData, "<u2").astype(">u2").tobytes()
    stream = io.BytesIO()
    dcmwrite(stream, one, enforce_file_format=True)
    return one, stream.getvalue()


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_whole_object_says_who_it_is(tmp_path, syntax, undefined):
    one, payload = written(syntax, undefined=undefined)
    (tmp_path / "one.dcm").write_bytes(payload)
    found = identify_file(tmp_path / "one.dcm")
    assert (found.sop_class_uid, found.sop_instance_uid, found.study_instance_uid) == (one.SOPClassUID, one.SOPInstanceUID, "1.2.3")
    begin, named = meta_of(payload)
    assert named == syntax
    assert identify(payload[begin:], syntax) == found


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_no_beginning_of_an_object_is_taken_for_it(syntax, undefined):
    """Wherever it is cut but behind an element (a byte of padding ends a deflated one): what ends with an element is whole to anybody, and lacks its identity before that is there."""
    _, payload = written(syntax, undefined=undefined)
    begin, _ = meta_of(payload)
    whole = payload[begin:]
    ends = {0, len(whole) - 1, len(whole)} if syntax == DeflatedExplicitVRLittleEndian else {0, *ends_of_elements(whole, syntax)}
    taken = []
    for size in range(len(whole)):
        try:
            identify(whole[:size], syntax)
            taken.append(size)
        except DataError:
            continue
    assert set(taken) <= ends, sorted(set(taken) - ends)


def ends_of_elements(payload, syntax):
    """Return where elements of the top level end, by pydicom's reader."""
    head = io.BytesIO(payload)
    from pydicom.filereader import data_element_generator

    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    return {head.tell() for _ in data_element_generator(head, implicit, little)}


def test_what_goes_on_behind_its_end_is_refused():
    _, payload = written(ExplicitVRLittleEndian, undefined=False)
    begin, _ = meta_of(payload)
    identify(payload[begin:] + bytes(6), ExplicitVRLittleEndian)  # zeros are padding that some write
    with pytest.raises(DataError, match="break off") as caught:
        identify(payload[begin:] + b"\1\2\3", ExplicitVRLittleEndian)
    assert caught.value.code == "OBJECT_TRUNCATED"


@pytest.mark.parametrize("payload", [b"", b"nothing", bytes(200), b"\xff" * 200, bytes(128) + b"DICM", bytes(128) + b"DICM" + b"\xff" * 99])
def test_what_is_no_file(tmp_path, payload):
    (tmp_path / "one.dcm").write_bytes(payload)
    with pytest.raises(DataError, match="expected"):
        identify_file(tmp_path / "one.dcm")


@pytest.mark.parametrize("name", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID"])
@pytest.mark.parametrize("value", [None, "", "../../x", "1.2/3"])
def test_identifiers_that_are_none(name, value):
    one = small_object("1.2.3", "1.2.4")
    if value is None:
        delattr(one, name)
    else:
        one[name]._value = value
    stream = io.BytesIO()
    dcmwrite(stream, one, implicit_vr=False, little_endian=True)
    with pytest.raises(DataError) as caught:
        identify(stream.getvalue(), ExplicitVRLittleEndian)
    assert caught.value.code == "OBJECT_IDENTITY"


def test_sequences_without_a_bottom():
    deep = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 5000
    with pytest.raises(DataError, match="deep"):
        identify(deep, ExplicitVRLittleEndian)


def test_pydicom_reads_what_is_cut_off_without_a_word():
    """Why this exists at all."""
    _, payload = written(ExplicitVRLittleEndian, undefined=False)
    assert len(dcmread(io.BytesIO(payload[:-100])).PixelData) < 512
