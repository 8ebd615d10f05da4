"""`celery flower` reads this file from the directory it is started in; elsewhere: `--conf=/path/to/flowerconfig.py`."""

from celery_pyncette.flower import install

install()
