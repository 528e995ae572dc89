"""OHIF's own readers of segmentations and Parametric Maps, run in Node without a browser."""
