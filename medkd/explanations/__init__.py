"""Explanations of studies as artefacts: made, tested, kept, made again."""
