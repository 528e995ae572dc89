"""Shortcut audit: marks and scanner settings put into and taken out of labelled cases, and what that does to a model's answers."""
