"""Vision tower, decoder and cache. Knows nothing of the method."""
