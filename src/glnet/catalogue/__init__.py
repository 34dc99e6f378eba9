"""Published data sets: what they are, and how they lie on the disk once downloaded."""
