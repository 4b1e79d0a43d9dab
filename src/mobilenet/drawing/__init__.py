"""Results drawn on images: boxes with tags, masks with outlines, legends, in colors and letters that can be told apart."""
