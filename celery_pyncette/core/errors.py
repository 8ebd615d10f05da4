"""Every exception that the package raises on purpose.

::

    PyncetteError
    ├── ConfigurationError          a setting, or two settings that contradict each other
    │   ├── StoreNotConfigured      pyncette_store_url is needed here and unset
    │   ├── NamespaceInUse          another application owns this namespace
    │   └── AppNotChosen            more than one Celery app in this process, none named
    ├── InvalidEntry                what the caller wants scheduled cannot be
    ├── WrongDatabase               the caller's connection is not the store's database
    ├── FixtureFailed               a fixture could not be set up; its cause says why
    ├── FixtureMissing              a fixture is asked for that this process does not have
    ├── LeaseLost                   another owner may act on this run now
    ├── CorruptRecord               a stored record cannot be read; it is quarantined
    └── StoreError
        ├── StoreUnavailable        cannot be reached now; worth another try
        ├── StoreRefused            wrong password, no permission, read-only: a person must act
        └── SchemaMismatch          the store's schema is missing, older or newer
"""

from __future__ import annotations


class PyncetteError(Exception):
    """The root: catch this for all that follows."""


class ConfigurationError(PyncetteError):
    """A setting is wrong; the message names it, its value and the rule."""


class StoreNotConfigured(ConfigurationError):
    """This face of the package needs ``pyncette_store_url``, and it is not set."""


class NamespaceInUse(ConfigurationError):
    """The namespace belongs to an application with another fingerprint."""


class AppNotChosen(ConfigurationError):
    """Which Celery app is meant cannot be told; pass ``app=``."""


class FixtureFailed(PyncetteError):
    """A fixture could not be set up; the process that it is for ends."""


class FixtureMissing(PyncetteError, AttributeError):
    """A fixture that is not set up in this process."""


class InvalidEntry(PyncetteError):
    """An entry that cannot be scheduled.

    :param field: the field at fault, for example ``schedule`` or ``args[2].when``.
    :param value: what was given; shown shortened.
    :param rule: what would be accepted, as a sentence that can follow a colon.
    :param entry: the entry's name, where it is known.
    """

    def __init__(self, field: str, value: object, rule: str, entry: str | None = None) -> None:
        self.field = field
        self.value = value
        self.rule = rule
        self.entry = entry
        super().__init__(field, value, rule, entry)

    def __str__(self) -> str:
        shown = ascii(self.value)
        shown = shown if len(shown) <= 120 else shown[:117] + "..."
        where = f"entry {self.entry!r}: " if self.entry is not None else ""
        return f"{where}{self.field}={shown}: {self.rule}"


class WrongDatabase(PyncetteError):
    """The connection given by the caller leads to another database than the store's."""


class LeaseLost(PyncetteError):
    """The lease of the run that this code belongs to has ended or has a new owner."""


class CorruptRecord(PyncetteError):
    """A stored record that cannot be read.

    :param key: the record's key.
    :param reason: what is wrong with it, in a few words.
    """

    def __init__(self, key: str, reason: str) -> None:
        self.key = key
        self.reason = reason
        super().__init__(key, reason)

    def __str__(self) -> str:
        return f"record {self.key!r} cannot be read: {self.reason}"


class StoreError(PyncetteError):
    """The store did not do what was asked."""


class StoreUnavailable(StoreError):
    """The store cannot be reached, or did not answer in time; another try may go through."""


class StoreRefused(StoreError):
    """The store answered no (password, permission, read-only replica); a person must act."""


class SchemaMismatch(StoreError):
    """The store's schema is missing, older or newer than this release can use."""
