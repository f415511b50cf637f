"""Azure OpenAI's Realtime API as a `Provider`: OpenAI's API at the resource's own address, with its key.

Documented by Azure (2026-02): the base ``https://RESOURCE.openai.azure.com/openai/v1``, the header
``api-key``, the same four POSTs, the same WebSocket, OpenAI's webhook with the same signature, and that
`model` names a *deployment*. Assumed, as it is not documented: the same error codes, and a REFER sent the
same way.
"""

from __future__ import annotations

from screening.openai.realtime import OpenAIRealtime


class AzureRealtime(OpenAIRealtime):
    """One agent at Azure; only its `authorization`, base URL and default settings differ."""
