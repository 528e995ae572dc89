"""Reports that a person reads: composed from measured facts, rendered as a pure function of the record."""
