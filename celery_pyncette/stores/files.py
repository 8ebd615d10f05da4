"""Which store is a file of this host."""

from __future__ import annotations

from pathlib import Path


def sqlite_path(url: str) -> Path | None:
    """The file of an SQLite store, also of one in Django's database; None for every other.

    :raises ConfigurationError: for a ``django://`` URL whose alias leads nowhere.
    """
    if url.partition("://")[0].lower() == "django":
        url = _url_of_django(url)
    scheme, separator, rest = url.partition(":///")
    if not separator or scheme.partition("+")[0].lower() != "sqlite":
        return None
    path = rest.partition("?")[0]
    return None if path in ("", ":memory:") or path.startswith("file:") else Path(path)


def _url_of_django(url: str) -> str:
    try:
        from celery_pyncette.stores.django.address import alias_of, url_of
    except ModuleNotFoundError:
        return ""  # whoever opens the store says what to install
    return url_of(alias_of(url))
