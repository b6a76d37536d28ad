"""What each stage reads, computes and publishes: one file per stage, each a function of a store and settings."""
