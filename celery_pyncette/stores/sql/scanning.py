"""The conditions of a scan."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.sql.elements import ColumnElement

from celery_pyncette.core.records import Origin
from celery_pyncette.stores.protocol import Query
from celery_pyncette.stores.sql.tables import LISTED, ROW, records


def page_of(namespace: str, query: Query, cursor: str | None) -> Select[Any]:
    """The rows of a page, and one more if there is a next one.

    Cost: a walk of the primary key from the cursor until enough rows match; or the name index and a sort, where the
    name is given with an origin other than delayed and the database thinks that it is less.
    """
    column = records.c
    wanted = select(*ROW).where(column.namespace == namespace)
    for text_column, start in ((column.key, query.prefix), (column.name, query.name_prefix or "")):
        wanted = wanted.where(*_begins(text_column, start))
    if cursor is not None:
        wanted = wanted.where(column.key > cursor)
    if query.origin is not None:
        wanted = wanted.where(column.origin == query.origin.value)
        if query.origin is not Origin.DELAYED:
            wanted = wanted.where(LISTED)
    if query.task is not None:
        wanted = wanted.where(column.task == query.task)
    for flag, value in ((column.paused, query.paused), (column.running, query.running), (column.dead, query.dead)):
        if value is not None:
            wanted = wanted.where(flag == value)
    return wanted.order_by(column.key).limit(query.limit + 1)


def _begins(column: Any, start: str) -> list[ColumnElement[bool]]:
    if not start:
        return []
    end = after_all(start)
    return [column >= start] if end is None else [column >= start, column < end]


def after_all(start: str) -> str | None:
    """The least text, in the order of bytes, after every text that begins with ``start``; None if there is none.

    UTF-8 sorts like code points; surrogates are none.
    """
    kept = start.rstrip("\U0010ffff")
    if not kept:
        return None
    last = ord(kept[-1]) + 1
    return kept[:-1] + chr(0xE000 if last == 0xD800 else last)
