"""Management by HTTP under ``/api/v1``: FastAPI, imported where the API is switched on and nowhere else."""
