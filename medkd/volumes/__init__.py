"""Arrays at home: the store, windows, splits, importers and the phantom."""
