"""Posts that are cleaned up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.delay.post import Post


@pytest.fixture
def posts() -> Iterator[Callable[..., Post]]:
    made: list[Post] = []

    def make(**conf: Any) -> Post:
        made.append(Post(**conf))
        return made[-1]

    yield make
    for post in made:
        post.close()


@pytest.fixture
def post(posts: Callable[..., Post]) -> Post:
    return posts()
