"""What goes out as DICOM: segmentation, maps, measurements and a picture of one explained study, published with a certificate or not at all."""
