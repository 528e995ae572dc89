"""Laws that a loss keeps or breaks, shown on small networks: the catalogue's own losses and other people's code."""
