"""A page in the browser over rasters of any size: image, mask, truth and where they differ."""
