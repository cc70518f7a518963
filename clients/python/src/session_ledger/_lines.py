"""The frames of a stream, read from its bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .errors import AnswerError

#: The longest line that a client reads. An event of 64 KiB makes a line of about 500 KiB at most.
LINE_BYTES_MAX = 8 * 1024 * 1024


class Lines:
    """Splits chunks of bytes into lines of JSON."""

    def __init__(self) -> None:
        self._read = bytearray()

    def take(self, chunk: bytes) -> Iterator[dict[str, Any]]:
        """The frames whose last byte is in this chunk."""
        # Only the new bytes can have the end of a line.
        searched = len(self._read)
        self._read += chunk
        while (end := self._read.find(b"\n", searched)) >= 0:
            line = bytes(self._read[:end])
            del self._read[: end + 1]
            searched = 0
            yield _frame(line)
        if len(self._read) > LINE_BYTES_MAX:
            raise AnswerError(
                f"the stream is not one of a ledger: a line has more than {LINE_BYTES_MAX} bytes"
            )


def _frame(line: bytes) -> dict[str, Any]:
    try:
        frame = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise AnswerError(f"the stream is not one of a ledger: {error}") from error
    if not isinstance(frame, dict) or not isinstance(frame.get("frame"), str):
        raise AnswerError("the stream is not one of a ledger: a line has no `frame`")
    return frame
