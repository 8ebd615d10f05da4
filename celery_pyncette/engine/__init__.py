"""What runs, free of Celery: it knows the core, the Store protocol and events."""
