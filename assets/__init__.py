"""The Dagster graph and the command line: assemble, never compute."""
