"""One loop for teacher and student; the objective is a weighted sum of catalogue terms."""
