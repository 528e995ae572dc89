"""From a report back to the data: the walk that hashes everything again, and what may be removed because nothing needs it."""
