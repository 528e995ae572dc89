"""What readers say of studies: kept in a log that nobody edits, exchanged as files, and counted."""
