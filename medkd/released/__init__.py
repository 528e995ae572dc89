"""Trained models that come with the software: listed, verified, and installed into a registry, so that a first result needs no training."""
