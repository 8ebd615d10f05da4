"""A Schedules page inside Flower: call ``install()`` in ``flowerconfig.py``. See ``docs/flower.md``."""

from __future__ import annotations


def install() -> None:
    """Add the page, its API and its place in the navigation to Flower; again changes nothing.

    Call it in this process before ``celery flower`` builds its application: ``flowerconfig.py`` is read in time.

    :raises ImportError: without Flower.
    """
    try:
        import flower  # noqa: F401
    except ModuleNotFoundError as error:
        raise ImportError("the Schedules page needs Flower: pip install celery-pyncette[flower]") from error
    from celery_pyncette.flower.routes import add

    add()
