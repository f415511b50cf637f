"""What the simulated API answers instead of a 200."""

from __future__ import annotations


class ApiError(Exception):
    """What the API answers instead of a 200."""

    def __init__(self, status: int, code: str | None, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.param = param


def call_not_found() -> ApiError:
    """Return the one answer to every call id that is unknown, not live yet, or over."""
    return ApiError(404, "call_id_not_found", "No session found for the provided call_id")
