"""Several models' logits into one: votes, averages, and weights learned on clean labels. Pure functions on arrays."""
