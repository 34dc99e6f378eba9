"""Reports for people and for print: one HTML file each, with all that it shows inside."""
