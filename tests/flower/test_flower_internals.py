"""What is taken from Flower is where it is looked for; a new release of Flower that moves it fails here."""

from __future__ import annotations

from pathlib import Path

import flower
from flower.urls import handlers, settings

from celery_pyncette.flower import flower_internals, install


def test_our_pieces_have_their_place_in_flowers_templates(caplog):
    for name, (_, piece) in flower_internals.WOVEN.items():
        text = (Path(flower.__file__).parent / "templates" / name).read_text()
        assert flower_internals.woven(name, text).count(f'{{% include "{piece}" %}}') == 1
    assert caplog.records == []


def test_a_template_that_has_no_place_is_left_alone_with_a_warning(caplog):
    assert flower_internals.woven("navbar.html", "<nav></nav>") == "<nav></nav>"
    assert "flower_changed" in caplog.text


def test_no_template_of_ours_hides_one_of_flowers():
    theirs = {path.name for path in (Path(flower.__file__).parent / "templates").iterdir()}
    assert theirs & {path.name for path in flower_internals.OURS.iterdir()} == set()


def test_install_adds_once():
    install()
    count, loader = len(handlers), settings["template_loader"]
    install()
    assert (len(handlers), settings["template_loader"]) == (count, loader)
    assert isinstance(loader, flower_internals.Templates)


def test_flowers_classes_do_what_we_build_on():
    for name in ("prepare", "write_error"):
        assert name in vars(flower_internals.BaseApiHandler)
    for name in (
        "check_xsrf_cookie",
        "get_current_user",
        "format_task",
        "unauthenticated_api",
        "render",
        "get_argument",
    ):
        assert name in vars(flower_internals.BaseHandler)
