"""Adapters for OpenAI's Realtime and Live APIs, and Azure's, that implement `screening.provider.Provider`."""
