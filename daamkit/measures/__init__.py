"""Numbers about pictures, maps and texts: overlap, intervals, quality."""
