"""Telling people and programs what happened: written down first, then delivered until it is taken."""
