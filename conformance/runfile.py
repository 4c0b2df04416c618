"""Run files: TOML that says what is under test and how it is judged. Unknown keys are errors with a suggestion."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NoReturn
from urllib.parse import urlsplit

from conformance.roles import Role
from conformance.selection import suggestion
from conformance.vectors.currency_keys import DEPLOYED_1024
from conformance.verdicts import Profile
from openpcc_ref.credits import CreditRejected, PrivateKey, private_key

_NEIGHBOURS = ("gateway", "bank", "router", "nonce-lock", "engine")


class RunFileInvalid(Exception):
    """A run file cannot be used; the text names file, key and what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySettings:
    """One key the gateway under test is configured with: 32-byte seed as hex, window as RFC 3339."""

    id: int
    seed: str = field(repr=False)
    kem_id: int
    active_from: datetime
    active_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """What the node under test is configured with: the public key that it attests (65 bytes), the seed of the Ed25519
    key whose badges it takes (32 bytes), both as hex, and the models that it serves."""

    public_key: str
    badge_seed: str = field(repr=False)
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSettings:
    """Where the subject is, or how it is started.

    ``listen`` gives fixed loopback addresses (``host:port``) to the runner-hosted neighbours a running subject has
    been configured with: ``gateway`` for a relay; ``bank`` and ``router`` for a gateway; ``nonce-lock`` for a bank
    or a router; ``engine`` for a node.
    ``currency_key`` is the one the subject signs with; by default the development key that published services share.
    """

    mode: Literal["url", "launch"]
    url: str | None = None
    command: tuple[str, ...] = ()
    listen: Mapping[str, str] = field(default_factory=dict)
    keys: tuple[KeySettings, ...] = ()
    node: NodeSettings | None = None
    currency_key: PrivateKey = DEPLOYED_1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Deadlines in seconds; ``scale`` stretches all of them for slow machines."""

    case_s: float = 60.0
    step_s: float = 5.0
    scale: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFile:
    """A whole run file."""

    role: Role
    name: str
    target: TargetSettings
    profile: Profile | None = None
    seed: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)


def load(path: Path) -> RunFile:
    """Read a run file. Raises :class:`RunFileInvalid` for anything that is not as documented."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunFileInvalid(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RunFileInvalid(f"{path}: not TOML: {error}") from error
    return _Reader(str(path), path.parent).run_file(document)


class _Reader:
    """Reads tables, keeping the place for error messages."""

    def __init__(self, name: str, folder: Path) -> None:
        self._name = name
        self._folder = folder

    def run_file(self, document: Mapping[str, Any]) -> RunFile:
        self._only(document, "", ("profile", "seed", "subject", "target", "select", "limits"))
        subject = self._table(document, "subject", ("role", "name"), required=True)
        select = self._table(document, "select", ("include", "exclude"))
        role = self._choice(subject, "subject.role", [*Role])
        return RunFile(
            role=Role(role),
            name=self._value(subject, "subject.name", str, role),
            target=self._target(document),
            profile=Profile(self._choice(document, "profile", [*Profile])) if "profile" in document else None,
            seed=self._value(document, "seed", str, None),
            include=self._strings(select, "select.include"),
            exclude=self._strings(select, "select.exclude"),
            limits=self._limits(document),
        )

    def _target(self, document: Mapping[str, Any]) -> TargetSettings:
        table = self._table(
            document, "target", ("mode", "url", "command", "listen", "keys", "currency_key", "node"), required=True
        )
        mode = self._choice(table, "target.mode", ["url", "launch"])
        needed = "url" if mode == "url" else "command"
        if needed not in table:
            self._fail(f"target.{needed}", f"a value, since target.mode is {mode}", "nothing")
        url = self._value(table, "target.url", str, None)
        if url is not None and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
            self._fail("target.url", "an http or https URL", repr(url))
        keys = self._value(table, "target.keys", list, [])
        command = self._strings(table, "target.command")
        if mode == "launch" and not command:
            self._fail("target.command", "a program and its arguments", "an empty list")
        if command and "/" in command[0] and not command[0].startswith("/"):
            command = (str(self._folder / command[0]), *command[1:])
        return TargetSettings(
            mode="url" if mode == "url" else "launch",
            url=url,
            command=command,
            listen={
                name: self._value({name: value}, f"target.listen.{name}", str, "")
                for name, value in self._table(table, "target.listen", _NEIGHBOURS).items()
            },
            keys=tuple(self._key(row, f"target.keys[{i}]") for i, row in enumerate(keys)),
            node=self._node(table),
            currency_key=self._currency_key(table) if "currency_key" in table else DEPLOYED_1024,
        )

    def _currency_key(self, target: Mapping[str, Any]) -> PrivateKey:
        place = "target.currency_key"
        table = self._table(target, place, ("p", "q"), required=True)
        primes = [self._value(table, f"{place}.{name}", str, "") for name in ("p", "q")]
        try:
            return private_key(*(int(prime, 16) for prime in primes))
        except ValueError:
            self._fail(place, "p and q in hexadecimal", "something else")
        except CreditRejected as rejected:
            self._fail(f"{place}.{rejected.where}", rejected.expected, "another number")

    def _node(self, target: Mapping[str, Any]) -> NodeSettings | None:
        if "node" not in target:
            return None
        table = self._table(target, "target.node", ("public_key", "badge_seed", "models"))
        models = self._strings(table, "target.node.models")
        if not models or not all(models):
            self._fail("target.node.models", "the names of the models that the node serves", "none")
        public_key = self._hex(table, "target.node.public_key", 65)
        badge_seed = self._hex(table, "target.node.badge_seed", 32)
        return NodeSettings(public_key=public_key, badge_seed=badge_seed, models=models)

    def _hex(self, table: Mapping[str, Any], place: str, length: int) -> str:
        text = str(self._value(table, place, str, ""))
        if len(text) != 2 * length or set(text.lower()) - set("0123456789abcdef"):
            self._fail(place, f"{2 * length} hex digits ({length} bytes)", f"{len(text)} characters")
        return text

    def _key(self, row: Any, place: str) -> KeySettings:
        names = ("id", "seed", "kem_id", "active_from", "active_until")
        if not isinstance(row, dict):
            self._fail(place, "a table", type(row).__name__)
        self._only(row, place, names)
        seed = self._hex(row, f"{place}.seed", 32)
        times = [self._value(row, f"{place}.{name}", datetime, None) for name in ("active_from", "active_until")]
        if any(time is None or time.tzinfo is None for time in times):
            self._fail(place, "active_from and active_until as date-times with an offset", "something else")
        key_id = self._value(row, f"{place}.id", int, -1)
        if not 0 <= key_id <= 255:
            self._fail(f"{place}.id", "a number between 0 and 255", str(row.get("id")))
        kem_id = self._value(row, f"{place}.kem_id", int, 0x0030)
        return KeySettings(id=key_id, seed=seed, kem_id=kem_id, active_from=times[0], active_until=times[1])

    def _limits(self, document: Mapping[str, Any]) -> Limits:
        names = ("case_s", "step_s", "scale")
        table = self._table(document, "limits", names)
        values: dict[str, float] = {}
        for name in table:
            value = table[name]
            if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
                self._fail(f"limits.{name}", "a positive number", repr(value))
            values[name] = float(value)
        return Limits(**values)

    def _table(
        self, document: Mapping[str, Any], place: str, names: Sequence[str], *, required: bool = False
    ) -> Mapping[str, Any]:
        value = document.get(place.rpartition(".")[2])
        if value is None and not required:
            return {}
        if not isinstance(value, dict):
            self._fail(place, "a table", "nothing" if value is None else type(value).__name__)
        self._only(value, place, names)
        return value

    def _only(self, table: Mapping[str, Any], place: str, names: Sequence[str]) -> None:
        for name in table:
            if name not in names:
                key = f"{place}.{name}" if place else name
                raise RunFileInvalid(f"{self._name}: unknown key {key!r}{suggestion(name, names)}")

    def _value(self, table: Mapping[str, Any], place: str, kind: type, default: Any) -> Any:
        value = table.get(place.rpartition(".")[2], default)
        if value is not default and (not isinstance(value, kind) or isinstance(value, bool)):
            self._fail(place, f"a {kind.__name__}", type(value).__name__)
        return value

    def _choice(self, table: Mapping[str, Any], place: str, choices: Sequence[str]) -> str:
        value = self._value(table, place, str, None)
        if value not in choices:
            hint = suggestion(value, choices) if value else ""
            self._fail(place, f"one of {', '.join(choices)}", f"{value!r}{hint}")
        return str(value)

    def _strings(self, table: Mapping[str, Any], place: str) -> tuple[str, ...]:
        value = self._value(table, place, list, [])
        if not all(isinstance(item, str) for item in value):
            self._fail(place, "a list of strings", repr(value)[:80])
        return tuple(value)

    def _fail(self, place: str, expected: str, observed: str) -> NoReturn:
        raise RunFileInvalid(f"{self._name}: {place}: expected {expected}, found {observed}")
