"""From DICOM files to proved, de-identified volumes: discover, classify, group, solve geometry, decode, bind labels, ingest."""
