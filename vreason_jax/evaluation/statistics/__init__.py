"""What the lines of a run say, with their errors."""
