"""What a model takes on devices that need not be there: memory, and how fast it can be at best."""
