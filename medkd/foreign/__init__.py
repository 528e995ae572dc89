"""Teachers that were trained elsewhere, taken in as registered versions."""
