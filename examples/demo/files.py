"""kombu's filesystem transport, writing each message to a file of another name first.

kombu creates the file of a message under its final name and writes it then: a worker that looks in between takes an
empty file for a message and loses it. With real traffic nobody would use files as a broker; a demo without any server
has nothing else.
"""

from __future__ import annotations

import time
import uuid
from pathlib import Path

from kombu.transport import filesystem
from kombu.utils.json import dumps


class Channel(filesystem.Channel):
    """Makes each message appear whole."""

    def _put(self, queue, payload, **_) -> None:
        folder = Path(self.data_folder_out)
        name = f"{time.monotonic_ns() // 1_000_000}_{uuid.uuid4()}"
        draft = folder / f"{name}.draft"
        draft.write_text(dumps(payload))
        draft.rename(folder / f"{name}.{queue}.msg")


class Transport(filesystem.Transport):
    """The transport with that channel."""

    Channel = Channel
