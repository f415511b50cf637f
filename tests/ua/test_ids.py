"""`Ids`, the only source of randomness."""

from __future__ import annotations

from proxy.ua.ids import BRANCH_COOKIE, RandomIds


def test_generated_ids_are_unique_and_have_the_expected_length() -> None:
    ids = RandomIds()
    for make, length in ((ids.branch, 27), (ids.tag, 16), (ids.call_id, 32), (ids.token, 12)):
        made = {make() for _ in range(100)}
        assert len(made) == 100
        assert {len(each) for each in made} == {length}
    assert ids.branch().startswith(BRANCH_COOKIE)


def test_random_numbers_are_within_their_bounds() -> None:
    ids = RandomIds()
    assert all(0 <= ids.bits(8) < 256 for _ in range(100))
    for count in (32, 64, 128, 129, 240, 368):  # an SSRC, ..., the master key and salt of AES-256
        assert count - 16 < max(ids.bits(count) for _ in range(100)).bit_length() <= count
    assert all(2.1 <= ids.uniform(2.1, 4.0) <= 4.0 for _ in range(100))
    assert len({ids.uniform(0, 1) for _ in range(100)}) > 90
