"""The HTTP server: webhook, health, metrics and API."""

from proxy.web.app import WebhookReceiver, WebhookResult, build_app
from proxy.web.server import HttpServer

__all__ = ["HttpServer", "WebhookReceiver", "WebhookResult", "build_app"]
