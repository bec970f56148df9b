"""Prefill, the jitted scan over tokens, and how tokens are drawn."""
