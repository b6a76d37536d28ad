"""Exports, each loaded by the library it is for."""
