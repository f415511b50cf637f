"""Azure OpenAI's Realtime API as a `Provider`: OpenAI's, under the resource's own address and key.

Documented by Azure (2026-02): the base ``https://RESOURCE.openai.azure.com/openai/v1``, the header
``api-key``, the same four POSTs, the same WebSocket, OpenAI's webhook with the same signature, and that
`model` is the name of a *deployment*. Taken to be so, for nothing is written of it: the same error codes,
and a REFER on the same way.
"""

from __future__ import annotations

from screening.openai.realtime import OpenAIRealtime


class AzureRealtime(OpenAIRealtime):
    """One agent at Azure. What differs is its `authorization`, its base, and what its settings default to."""
