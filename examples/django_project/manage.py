"""``python manage.py migrate --run-syncdb``, then ``python manage.py order 2 3 --refused 1``."""

from __future__ import annotations

import os
import sys

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")

if __name__ == "__main__":
    import project  # noqa: F401 - the Celery app, as a web process has it too

    execute_from_command_line(sys.argv)
