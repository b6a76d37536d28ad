"""The data and what each stage computes: no Dagster and no network weights."""
