"""The HTTP server: webhook, health, metrics and API."""

from proxy.web.app import Door, Receipt, build_app
from proxy.web.server import HttpServer

__all__ = ["Door", "HttpServer", "Receipt", "build_app"]
