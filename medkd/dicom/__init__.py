"""From DICOM files to verified, de-identified volumes: discover, classify, group, solve geometry, decode, bind labels, ingest."""
