"""What ``celery beat -S celery_pyncette.Scheduler`` runs."""
