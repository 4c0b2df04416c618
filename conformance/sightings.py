"""What each party of a stack saw of one conversation, found by searching the bytes that passed it.

A party sees all connections it is an end of, and the addresses of those who connect to it. What it decrypts and passes
on is seen on the next connection; what only a worker of a node decrypts is on none.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from conformance.canaries import Leak, address_renderings, renderings, search
from openpcc_ref.http1 import Tap
from openpcc_ref.services.stack import Watcher

PARTIES = ("relay", "gateway", "authbank", "bank", "nonce-lock", "router", "node", "engine")

_CHUNK_LINE = re.compile(rb"\r\n[0-9a-fA-F]{1,8}\r\n")


@dataclass(frozen=True, slots=True)
class Secret:
    """A value of one conversation, and which parties get to see it: these and no others."""

    name: str
    value: bytes = field(repr=False)
    parties: frozenset[str]
    is_address: bool = False


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one party saw of one secret; ``leak`` is the first place, None for none."""

    party: str
    secret: Secret
    leak: Leak | None

    @property
    def forbidden(self) -> bool:
        """Whether the party saw what it must not. Requirements: PRIV-001, PRIV-002."""
        return self.leak is not None and self.party not in self.secret.parties

    @property
    def missing(self) -> bool:
        """Whether the party must have seen it and the search did not find it: then the search proves nothing."""
        return self.leak is None and self.party in self.secret.parties


class Sightings(Watcher):
    """Keeps what passes between the parties of a stack."""

    def __init__(self) -> None:
        self._passed: dict[tuple[str, str, int, str], bytearray] = defaultdict(bytearray)
        self._addresses: dict[tuple[str, str], set[str]] = defaultdict(set)

    def tap(self, source: str, destination: str) -> Tap:
        def note(connection: int, direction: str, moment: float, data: bytes) -> None:
            self._passed[source, destination, connection, direction] += data

        return note

    def met(self, source: str, destination: str, address: str) -> None:
        self._addresses[source, destination].add(address)

    def connections(self, party: str) -> int:
        """Return how many connections a party was an end of."""
        return len({key[:3] for key in self._passed if party in key[:2]})

    def seen_bytes(self, party: str) -> int:
        """Return how many bytes a party received and sent."""
        return sum(len(data) for key, data in self._passed.items() if party in key[:2])

    def places(self, party: str) -> Iterator[tuple[str, bytes]]:
        """Yield (name, bytes) of everything a party saw, as it was and without the lines between chunks."""
        for (source, destination, _, direction), data in self._passed.items():
            if party in (source, destination):
                name = f"{source} → {destination}, {'request' if direction == 'in' else 'response'}"
                yield name, bytes(data)
                yield name, _CHUNK_LINE.sub(b"", bytes(data))
        for (source, destination), addresses in self._addresses.items():
            if party == destination:
                yield f"address of {source}", " ".join(sorted(addresses)).encode()

    def find(self, secrets: Sequence[Secret]) -> list[Sighting]:
        """Return what every party saw of every secret, party by party."""
        found = []
        for party in PARTIES:
            places = list(self.places(party))
            for secret in secrets:
                forms = _address_forms if secret.is_address else renderings
                leaks = search({secret.name: secret.value}, places, forms=forms)
                found.append(Sighting(party, secret, leaks[0] if leaks else None))
        return found


def _address_forms(value: bytes) -> Iterator[tuple[str, bytes]]:
    return address_renderings(value.decode())


def by_party(sightings: Sequence[Sighting]) -> Mapping[str, list[Sighting]]:
    """Return the sightings of each party."""
    return {party: [one for one in sightings if one.party == party] for party in PARTIES}
