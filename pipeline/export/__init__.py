"""Manifests as other programs read them: file lists, weights, shards of pictures, tables for a spreadsheet."""
