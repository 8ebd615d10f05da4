"""``connection=``: a call as a part of the caller's own transaction."""

from __future__ import annotations

from celery_pyncette.client.desk import Desk
from celery_pyncette.core.errors import InvalidEntry
from celery_pyncette.stores.guarded import Guarded
from celery_pyncette.stores.protocol import Store

_RULE = "must be a SQLAlchemy connection or session (of an AsyncSession: inside run_sync)"


def store_within(desk: Desk, given: object) -> Store:
    """The store for one call: the app's own, or as the caller's transaction sees it.

    :raises InvalidEntry: for anything but a SQLAlchemy connection or session, and for a store that is no SQL database.
    :raises WrongDatabase: if the connection leads elsewhere.
    """
    store = desk.store
    if given is None:
        return store
    bare = store.store if isinstance(store, Guarded) else store
    from celery_pyncette.stores.sql.joined import JoinedStore, connection_of
    from celery_pyncette.stores.sql.store import SqlStore

    if not isinstance(bare, SqlStore):
        rule = f"needs a store in an SQL database, and this one is {desk.runtime.store_name}; call after the commit"
        raise InvalidEntry("connection", given, rule)
    connection = connection_of(given)
    if connection is None:
        raise InvalidEntry("connection", given, _RULE)
    return JoinedStore(bare, connection, desk.meta)
