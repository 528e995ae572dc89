"""Losses: one file per term, ``x(student, teacher, sample, *, options) -> Scalar``, under one reduction rule.

Sum over classes, weighted mean over voxels, weighted mean over the batch, times the squared temperature where there is one.
Computed in float32 whatever the network ran in.
"""
