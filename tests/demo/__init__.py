"""Tests of `pipeline.demo`."""
