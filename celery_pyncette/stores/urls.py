"""Store URLs, fit to be shown."""

from __future__ import annotations

import re

_SECRET = re.compile(r"([?&;][\w.-]*(?:pass|pwd|secret|token)[\w.-]*=)[^&;#]*", re.IGNORECASE)


def mask(url: str) -> str:
    """The URL with each password replaced by ``***``, also in the query, also unescaped ones that contain ``/@?#``.

    What cannot be told apart from a password is hidden too: all between the first ``:`` and the last ``@``.
    """
    scheme, sep, rest = url.partition("://")
    if not sep:
        return url
    head, mark, query = rest.partition("?")
    if "@" not in head and "@" in query and "=" not in query.partition("@")[0]:
        head, mark, query = rest, "", ""
    if not head.startswith("/"):  # that is a path: of a file or a socket
        who, at, where = head.rpartition("@")
        user, colon, _ = who.partition(":")
        head = f"{user}:***@{where}" if colon else f"{who}{at}{where}"
    return f"{scheme}://{head}" + _SECRET.sub(r"\1***", mark + query)
