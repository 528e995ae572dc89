from __future__ import annotations

import pickle

from data_contracts import IngestCode, IngestError, MedkdError, SourceError


def test_errors_keep_code_and_sentence_across_processes():
    error = pickle.loads(pickle.dumps(SourceError("SOURCE_MISSING", "expected a folder, found none")))
    assert (type(error), error.code, str(error)) == (SourceError, "SOURCE_MISSING", "expected a folder, found none")
    refusal = pickle.loads(pickle.dumps(IngestError(IngestCode.GANTRY_TILT, "expected upright slices", {"degrees": 12.0})))
    assert (refusal.ingest_code, refusal.evidence) == (IngestCode.GANTRY_TILT, {"degrees": 12.0})


def test_every_error_descends_from_one_root():
    import data_contracts

    errors = [v for v in vars(data_contracts).values() if isinstance(v, type) and issubclass(v, Exception)]
    assert len(errors) >= 13
    assert all(issubclass(error, MedkdError) for error in errors)


def test_a_code_is_said_as_the_text_that_it_is():
    assert IngestError(IngestCode.GANTRY_TILT, "expected upright slices").code == "GANTRY_TILT"
    assert type(SourceError(IngestCode.GANTRY_TILT, "x").code) is str


def test_evidence_is_copied_so_that_a_caller_cannot_change_it_afterwards():
    evidence = {"degrees": 12.0}
    refusal = IngestError(IngestCode.GANTRY_TILT, "expected upright slices", evidence)
    evidence["degrees"] = 0.0
    assert refusal.evidence == {"degrees": 12.0}


def test_every_code_is_called_as_it_is_written():
    assert [code.name for code in IngestCode] == [code.value for code in IngestCode]
