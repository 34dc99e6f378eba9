"""Evaluation: predictions against labels, by a model or from masks on disk."""
