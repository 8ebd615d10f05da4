"""Stores in SQL databases: PostgreSQL, MySQL and MariaDB, SQLite.

One :class:`~celery_pyncette.stores.sql.store.SqlStore`; what differs between the databases is in
``connections`` (how to connect and begin), ``claims`` (the one hot statement), ``writing`` (how a batch
is written at once).
"""
