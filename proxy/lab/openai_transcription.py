"""The simulated ``POST /audio/transcriptions``: the transcript says how long the recording is."""

from __future__ import annotations

from email import message_from_bytes
from email.message import Message

from starlette.responses import JSONResponse, Response

from proxy.lab.openai_errors import ApiError
from proxy.media.wav import WavError, read_wav

MAX_BYTES = 25 * 1024 * 1024
_KNOWN = frozenset(("file", "model", "response_format", "language", "prompt", "temperature"))


def transcription(content_type: str, body: bytes) -> Response:
    """Return the transcript of the file in a form, in the format of ``response_format=json``."""
    fields = _form(content_type, body)
    for name in ("file", "model"):
        if not fields.get(name):
            raise ApiError(400, "missing_required_parameter", f"Missing required parameter: '{name}'.", name)
    if unknown := sorted(fields.keys() - _KNOWN):
        raise ApiError(400, "unknown_parameter", f"Unknown parameter: '{unknown[0]}'.", unknown[0])
    if fields.get("response_format", b"json") != b"json":
        raise ApiError(400, "unsupported_value", "The lab writes 'json' alone.", "response_format")
    if len(fields["file"]) > MAX_BYTES:
        raise ApiError(413, "file_too_large", "Maximum content size limit exceeded.", "file")
    try:
        sound = read_wav(fields["file"])
    except WavError:
        raise ApiError(400, "invalid_value", "Audio file might be corrupted or unsupported", "file") from None
    seconds = round(len(sound.samples) / sound.rate)
    return JSONResponse({"text": f"Please call me back. I have talked for {seconds} seconds."})


def _form(content_type: str, body: bytes) -> dict[str, bytes]:
    """Parse a ``multipart/form-data`` body into its fields."""
    form = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    if form.get_content_type() != "multipart/form-data" or not form.is_multipart():
        raise ApiError(400, "invalid_form", "We could not parse your multipart form.")
    fields: dict[str, bytes] = {}
    for part in form.get_payload():
        assert isinstance(part, Message)
        name = part.get_param("name", header="Content-Disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            fields[name] = content
    return fields
