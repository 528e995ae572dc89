"""Labels onto a volume's grid: DICOM SEG, RTSTRUCT and NIfTI; by geometry, never by the order of files or frames."""
