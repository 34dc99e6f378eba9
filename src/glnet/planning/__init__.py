"""From a folder of labelled images to a recipe: find, measure, choose, write with reasons."""
