"""Crawl layouts to a listing and a class catalogue; untrusted bytes to pixels or a named defect."""
