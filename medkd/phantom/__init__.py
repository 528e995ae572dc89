"""Invented cases, studies and faults with a known truth."""
