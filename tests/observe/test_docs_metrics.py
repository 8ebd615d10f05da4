"""The tables of metrics in the documentation are made of the catalogue."""

from __future__ import annotations

import importlib.util

from celery_pyncette.observe.catalogue import CATALOGUE
from tests.packaging.test_contracts import CHECKOUT


def test_the_tables_are_the_generated_ones():
    spec = importlib.util.spec_from_file_location("docs_metrics", CHECKOUT / "scripts" / "docs_metrics.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = module.PAGE.read_text(encoding="utf-8")
    assert module.page(text) == text, "run scripts/docs_metrics.py"
    assert all(f"| `{meter.name}` |" in text for meter in CATALOGUE)
