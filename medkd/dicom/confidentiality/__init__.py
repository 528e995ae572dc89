"""De-identification by DICOM PS3.15 Annex E: a closed world, keyed, checked on the bytes that were written."""
