"""From networks to scorecards: per-case rows once, figures with intervals from them; folders never seen before, too."""
