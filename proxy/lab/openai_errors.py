"""Error responses of the simulated API."""

from __future__ import annotations


class ApiError(Exception):
    """An error response of the API."""

    def __init__(self, status: int, code: str | None, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.param = param


def call_not_found() -> ApiError:
    """Return the error for any call id that is unknown, not live yet, or over."""
    return ApiError(404, "call_id_not_found", "No session found for the provided call_id")
