"""The commands of the command line, by what they are for. Heavy libraries are imported by the command that needs them."""
