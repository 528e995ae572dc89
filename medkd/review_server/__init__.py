"""The review page served: worklist, own read, sign-off, accounts. Needs no torch, no MLflow, no MONAI."""
