"""Real `celery beat` and `celery worker` processes over real brokers and stores."""
