"""Pure decisions: no clock, no I/O, no Celery, no logging. Time is always an argument."""
