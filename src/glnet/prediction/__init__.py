"""Prediction: from an image file and a bundle to a mask file."""
