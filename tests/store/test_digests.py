"""Digests of bytes as they pass, in pieces of any size."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from dataset_mirror.rules.digests import Algorithm
from dataset_mirror.store.digests import Digesting

CHECK = b"123456789"
CHECKSUMS: dict[Algorithm, str] = {
    "crc32": "cbf43926",
    "crc32c": "e3069283",
    "crc64nvme": "ae8b14860a799888",
    "crc64xz": "995dc9bbdf1939fa",
}
"""Of those nine digits, as the catalogue of parametrised CRC algorithms has them."""


@given(st.lists(st.integers(0, len(CHECK)), max_size=4))
def test_checksums_are_those_of_the_catalogue(cuts: list[int]) -> None:
    """However the bytes come, empty pieces and read-only views too, each checksum is the published one; of no bytes it is 0."""
    digesting = Digesting(CHECKSUMS)
    assert all(set(digesting.digests.known[name]) == {"0"} for name in CHECKSUMS)
    places = [0, *sorted(cuts), len(CHECK)]
    for start, end in itertools.pairwise(places):
        digesting.update(memoryview(CHECK)[start:end])
    assert {name: digesting.digests.known[name] for name in CHECKSUMS} == CHECKSUMS
