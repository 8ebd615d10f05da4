"""``connection=``: a call as a part of the caller's own transaction."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from celery_pyncette.client.desk import Desk
from celery_pyncette.core.errors import InvalidEntry
from celery_pyncette.stores.guarded import Guarded
from celery_pyncette.stores.protocol import Store
from celery_pyncette.stores.rousing import Rousing

if TYPE_CHECKING:
    from celery_pyncette.stores.sql.session import Session

_RULE = "must be a SQLAlchemy connection or session (of an AsyncSession: inside run_sync), or Django's connection"


def store_within(desk: Desk, given: object) -> Store:
    """The store for one call: the app's own, or as the caller's transaction sees it.

    :raises InvalidEntry: for anything but a connection or session, for one of Django's outside of ``atomic``, and for a
        store that is no SQL database.
    :raises WrongDatabase: if the connection leads elsewhere.
    """
    store = desk.store
    if given is None:
        return store
    from celery_pyncette.stores.sql.joined import JoinedStore
    from celery_pyncette.stores.sql.store import SqlStore

    bare = _bare(store)
    if not isinstance(bare, SqlStore):
        rule = f"needs a store in an SQL database, and this one is {desk.runtime.store_name}; see after_commit()"
        raise InvalidEntry("connection", given, rule)
    joined = JoinedStore(bare, _session(given), desk.meta)
    return desk.runtime.roused_by(joined, joined.wake_ups)


def _bare(store: Any) -> object:
    """What the store is without all that is around it, and without Django."""
    for around in (Guarded, Rousing):
        store = store.store if isinstance(store, around) else store
    return getattr(store, "own", store)


def _session(given: object) -> Session:
    from celery_pyncette.stores.sql.session import session_of

    session: Session | None = session_of(given)
    if session is None and "django.db" in sys.modules:
        session = _of_django(given)
    if session is None:
        raise InvalidEntry("connection", given, _RULE)
    return session


def _of_django(given: Any) -> Session | None:
    from celery_pyncette.stores.django.session import DjangoSession, is_django

    if not is_django(given):
        return None
    if not given.in_atomic_block:
        raise InvalidEntry("connection", given, "has no transaction: call within transaction.atomic()")
    return DjangoSession(given)
