"""From a reply to its score: what a protocol asks, reads and counts."""
