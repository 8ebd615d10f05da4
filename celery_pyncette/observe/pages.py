"""What is answered to one HTTP request: bytes to bytes, no sockets."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from celery_pyncette.observe.health import Answer

logger = logging.getLogger("celery_pyncette")


@dataclass(frozen=True, slots=True)
class Page:
    """Status, content type and body."""

    status: HTTPStatus
    content_type: str
    body: bytes


def answered(answer: Answer, otherwise: HTTPStatus) -> Page:
    """A probe's answer as JSON: 200 if all is well."""
    body = {"status": "ok" if answer.well else "failing", **answer.body}
    return Page(
        HTTPStatus.OK if answer.well else otherwise, "application/json", json.dumps(body, indent=1).encode() + b"\n"
    )


def text(status: HTTPStatus, words: str) -> Page:
    """A page of plain text."""
    return Page(status, "text/plain; charset=utf-8", words.encode() + b"\n")


def page_for(request: bytes, pages: Mapping[str, Callable[[Mapping[str, str]], Page]], longest: int) -> bytes:
    """The whole answer to a whole request, or to what is too long or malformed to be one."""
    method, page = _answer(request, pages, longest)
    head = [
        f"HTTP/1.1 {page.status.value} {page.status.phrase}",
        f"Content-Type: {page.content_type}",
        f"Content-Length: {len(page.body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    ]
    if page.status is HTTPStatus.METHOD_NOT_ALLOWED:
        head.append("Allow: GET, HEAD")
    return "\r\n".join([*head, "", ""]).encode("ascii") + (b"" if method == "HEAD" else page.body)


def _answer(request: bytes, pages: Mapping[str, Callable[[Mapping[str, str]], Page]], longest: int) -> tuple[str, Page]:
    if len(request) > longest:
        return "", text(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "too long")
    first, *rest = request.decode("latin-1").splitlines() or [""]
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        return "", text(HTTPStatus.BAD_REQUEST, "this is no HTTP request")
    method, target, _ = words
    if method not in ("GET", "HEAD"):
        return method, text(HTTPStatus.METHOD_NOT_ALLOWED, "GET and HEAD only")
    page = pages.get(target.partition("?")[0])
    if page is None:
        return method, text(HTTPStatus.NOT_FOUND, "there is: " + " ".join(sorted(pages)))
    try:
        return method, page(_headers(rest))
    except Exception:
        logger.exception("http_failed", extra={"page": target[:100]})
        return method, text(HTTPStatus.INTERNAL_SERVER_ERROR, "failed; the log says why")


def _headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            headers.setdefault(name.strip().lower(), value.strip())
    return headers
