"""Converts checkpoints from Hugging Face safetensors to Orbax and back: `python -m convert`."""
