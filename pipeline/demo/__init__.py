"""A synthetic crawl, drawn by the project itself, with a known truth."""
