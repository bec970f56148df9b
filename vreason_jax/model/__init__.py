"""Qwen2.5-VL: vision tower, decoder and cache. Knows nothing of the method."""
