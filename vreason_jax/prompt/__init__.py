"""Question and media grids -> token ids and M-RoPE positions. NumPy only."""
