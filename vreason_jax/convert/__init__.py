"""`python -m vreason_jax.convert`: checkpoints from Hugging Face safetensors to Orbax and back."""
