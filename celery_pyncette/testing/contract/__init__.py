"""The promises of ``stores.protocol``, one test each, for any store.

::

    class TestMyStore(StoreContract):
        def make_store(self, namespace):          # a new store object over one shared, existing place
            return MyStore(URL, namespace)

        def spoil(self, store, key):              # make the stored document of this key unreadable
            ...

Say ``processes = False`` for a store that lives in one process. No test sleeps or reads this host's
clock: they are in the future by ``seen``, which every store takes as its now.
"""

import pytest

pytest.register_assert_rewrite(
    *(
        f"{__name__}.{part}"
        for part in (
            "setting",
            "samples",
            "claims",
            "writes",
            "reads",
            "keys",
            "founding",
            "races",
            "together",
            "model",
        )
    )
)

from celery_pyncette.testing.contract.bundles import BundlePromises  # noqa: E402
from celery_pyncette.testing.contract.claims import ClaimPromises  # noqa: E402
from celery_pyncette.testing.contract.founding import FoundingPromises  # noqa: E402
from celery_pyncette.testing.contract.keys import KeyPromises  # noqa: E402
from celery_pyncette.testing.contract.model import ModelPromises  # noqa: E402
from celery_pyncette.testing.contract.races import RacePromises  # noqa: E402
from celery_pyncette.testing.contract.reads import ReadPromises  # noqa: E402
from celery_pyncette.testing.contract.writes import WritePromises  # noqa: E402


class StoreContract(
    ClaimPromises,
    WritePromises,
    BundlePromises,
    ReadPromises,
    KeyPromises,
    FoundingPromises,
    RacePromises,
    ModelPromises,
):
    """All of them; subclass it as ``Test...``, see above."""


__all__ = ["StoreContract"]
