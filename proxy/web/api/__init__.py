"""The management API under ``/api/v1``: FastAPI, imported only if the API is enabled."""
