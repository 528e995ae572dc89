"""Cohorts: read from folders, tables, stores or the phantom, split, opened for training."""
