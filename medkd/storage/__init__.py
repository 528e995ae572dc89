"""Files of a run: store, workspace, remembered stages, locks."""
