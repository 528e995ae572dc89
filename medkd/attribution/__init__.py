"""Explainers: one file per method. The report and the losses call the same functions."""
