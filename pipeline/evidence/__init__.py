"""Features, text, ranks and predictions to one number per image: one file per idea."""
