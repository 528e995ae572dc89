"""What a recipe will need, said before it runs: a short probe of its own training steps, extrapolated."""
