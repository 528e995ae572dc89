"""Experiments that cannot flatter themselves: trials, courses, controls, paired comparisons and the scoreboard (README.md)."""
