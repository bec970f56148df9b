"""Model families: each a folder with one record, and one line in registry.py."""
