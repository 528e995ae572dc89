from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from medkd.network import services


def test_the_classes_are_the_standard_s():
    assert Verification == services.VERIFICATION
    assert StudyRootQueryRetrieveInformationModelFind == services.FIND
    assert StudyRootQueryRetrieveInformationModelGet == services.GET
    assert StudyRootQueryRetrieveInformationModelMove == services.MOVE
    assert StorageCommitmentPushModel == services.COMMITMENT
    assert len(services.STORAGE_CLASSES) > 150
    assert all(uid.startswith("1.2.840.10008.") for uid in services.STORAGE_CLASSES)
    assert {"1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.2"} <= set(services.TRANSFER_SYNTAXES)


def test_a_peer_gets_what_both_know_and_in_its_own_order():
    jpeg, plain = "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.1"
    found = services.accepted_contexts(
        [("1.2.840.10008.5.1.4.1.1.2", ["1.2.3", jpeg, plain]), (services.FIND, [plain]), (services.VERIFICATION, [jpeg, plain])]
    )
    assert [(one.abstract_syntax, one.transfer_syntax) for one in found] == [
        ("1.2.840.10008.5.1.4.1.1.2", [jpeg, plain]),
        (services.VERIFICATION, [plain]),
    ]


def test_the_tables_name_every_service_class_and_syntax():
    text = services.conformance_tables()
    assert all(f"`{uid}`" in text for uid in (*services.STORAGE_CLASSES, *services.TRANSFER_SYNTAXES, services.FIND, services.COMMITMENT))
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert {(row[0].strip("| "), row[1]) for row in rows} >= {
        ("Storage (C-STORE)", "SCP"),
        ("Storage (C-STORE)", "SCU"),
        ("WADO-RS", "user agent"),
    }
