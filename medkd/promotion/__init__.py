"""From a registered version to the champion: checks of a policy, verdict, signature, aliases, and the way back."""
