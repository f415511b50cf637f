"""The vendor: OpenAI's Realtime and Live APIs, and Azure's, as `screening.provider.Provider`."""
