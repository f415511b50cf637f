"""Benchmarks that run us and our peers side by side, by one method, in one run."""
