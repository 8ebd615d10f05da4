"""The store in a database of a Django project: ``django://<alias>``.

Within ``transaction.atomic`` client calls are a part of that transaction; everything else uses connections of its own.
"""
