"""Measures: one file each, with HIGHER_IS_BETTER, RANGE, UNIT, LEVEL and SOURCE declared.

``x(prediction, reference, *, spacing_mm=None)``: LEVEL "case" gives one value per case, "cohort" one value for all. Undefined
values are NaN, counted and reported, never dropped in silence and never read as perfect.
"""
