"""The commands, by theme: what a user types, told to the functions that do it."""
