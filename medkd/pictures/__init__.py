"""Colours, contours and PNGs that pages and previews share."""
