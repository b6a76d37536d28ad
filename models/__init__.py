"""Networks and training: no Dagster."""
