"""Evidence to weight, repeats, stage and reason: one file per idea."""
