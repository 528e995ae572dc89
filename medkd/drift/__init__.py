"""Drift of images, predictions and reasons, without labels: a window of recent studies beside a model version's reference."""
