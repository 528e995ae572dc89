"""Which contexts objects are offered in; what archives answer to them is in test_send.py."""

from medkd.network.outgoing import OutgoingObject
from medkd.network.store_dimse import _contexts

CT, SEG, RLE, PLAIN = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.1"


def test_each_class_is_offered_as_it_is_encoded_and_in_plain_encodings(tmp_path):
    objects = [
        OutgoingObject(tmp_path, sop_class, "1.2", "1.3", syntax, "00") for sop_class, syntax in ((CT, PLAIN), (SEG, RLE), (CT, PLAIN))
    ]
    found = [(one.abstract_syntax, one.transfer_syntax) for one in _contexts(objects)]
    assert found == [(CT, [PLAIN]), (SEG, [RLE]), (CT, [PLAIN, "1.2.840.10008.1.2"]), (SEG, [PLAIN, "1.2.840.10008.1.2"])]


def test_no_more_contexts_than_an_association_has(tmp_path):
    objects = [OutgoingObject(tmp_path, f"1.2.{number}", "1.2", "1.3", PLAIN, "00") for number in range(200)]
    assert len(_contexts(objects)) == 128
