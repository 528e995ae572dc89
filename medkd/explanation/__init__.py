"""Explanations of studies and cohorts: subjects, maps, measures, sanity checks, artefacts."""
