"""What a run will take: counts of a crawl, rates of a machine and the law of each stage; all of it arithmetic."""
