"""Labelled scenes: class tables, manifests, masks, and what a training step draws from them."""
