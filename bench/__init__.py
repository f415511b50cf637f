"""Benchmarks of Screendoor side by side with its peers, with the same method in the same run."""
