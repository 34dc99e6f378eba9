"""Training: losses, the three stages, the loop over them, and what a run leaves on disk."""
