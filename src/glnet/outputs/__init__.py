"""Files that glnet leaves: masks and scores. Written as `.partial`, re-read, then renamed."""
