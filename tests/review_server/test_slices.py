from __future__ import annotations

from medkd.review_server.slices import PictureCache, RecentValues, etag_of


def test_a_picture_is_made_once_and_the_least_lately_used_is_forgotten():
    cache, made = PictureCache(most_bytes=8), []

    def make(name):
        return lambda: made.append(name) or name.encode() * 4

    assert [cache.get((name,), make(name)) for name in "aab"] == [b"aaaa", b"aaaa", b"bbbb"]
    cache.get(("a",), make("a"))
    cache.get(("c",), make("c"))
    cache.get(("a",), make("a"))
    cache.get(("b",), make("b"))
    assert made == ["a", "b", "c", "b"]


def test_values_are_remembered_by_number():
    recent, made = RecentValues(most=2), []
    for name in "abacb":
        recent.get((name,), lambda name=name: made.append(name))
    assert made == ["a", "b", "c", "b"]


def test_a_tag_follows_from_the_bytes():
    assert etag_of(b"x") == etag_of(b"x") != etag_of(b"y")
    assert etag_of(b"x").startswith('"')
