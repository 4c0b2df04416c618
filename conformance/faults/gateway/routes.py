"""Gateways that let through what they should not, or send it elsewhere."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import unquote_to_bytes, urlsplit

from conformance.faults import fault
from conformance.faults.gateway.base import LenientGateway
from openpcc_ref.binary_http import RequestHead
from openpcc_ref.errors import Rejected
from openpcc_ref.services.allow_list import BANK, ROUTER, ROUTES
from openpcc_ref.services.gateway import Gateway
from openpcc_ref.services.inner_answer import InnerAnswer

_ALL_PATHS = {path: methods for routes in ROUTES.values() for path, methods in routes.items()}


@fault(id="gateway.routes.path-missing", breaks=["OHT-066"], trips=["gateway.allow-list.allowed"])
class PathMissing(Gateway):
    """Does not know that clients may withdraw all they have."""

    def require_route(self, authority: bytes, head: RequestHead) -> None:
        if head.path == b"/withdraw-full":
            raise InnerAnswer(404, b"404 page not found\n")
        super().require_route(authority, head)


@fault(
    id="gateway.routes.one-upstream",
    breaks=["OHT-067"],
    trips=["gateway.allow-list.allowed"],
    also=["gateway.failures.unreachable"],
)
class OneUpstream(Gateway):
    """Sends requests for the bank to the router."""

    def upstream_of(self, authority: bytes) -> str | None:
        return self.upstreams[ROUTER] if authority == BANK else super().upstream_of(authority)


class _HostRead(Gateway):
    """Reads the inner host in its own way."""

    def read_host(self, authority: bytes) -> bytes:
        raise NotImplementedError

    def upstream_of(self, authority: bytes) -> str | None:
        return super().upstream_of(self.read_host(authority))

    def require_route(self, authority: bytes, head: RequestHead) -> None:
        super().require_route(self.read_host(authority), head)


@fault(
    id="gateway.routes.any-host",
    breaks=["OHT-065"],
    trips=[
        "gateway.allow-list.foreign-host",
        "gateway.allow-list.host-with-port",
        "gateway.allow-list.host-spelling",
        "gateway.allow-list.no-host",
        "gateway.errors.host-encapsulated",
    ],
)
class AnyHost(_HostRead):
    """Takes every host that it does not know for the router."""

    def read_host(self, authority: bytes) -> bytes:
        return authority if authority in ROUTES else ROUTER


@fault(id="gateway.routes.host-suffix", breaks=["OHT-065"], trips=["gateway.allow-list.foreign-host"])
class HostSuffix(_HostRead):
    """Looks only at how the host ends."""

    def read_host(self, authority: bytes) -> bytes:
        return next((host for host in ROUTES if authority.endswith(b"." + host)), authority)


@fault(id="gateway.routes.port-ignored", breaks=["OHT-065"], trips=["gateway.allow-list.host-with-port"])
class PortIgnored(_HostRead):
    """Looks only at the name, not at the port."""

    def read_host(self, authority: bytes) -> bytes:
        return authority.partition(b":")[0]


@fault(id="gateway.routes.host-normalised", breaks=["OHT-065"], trips=["gateway.allow-list.host-spelling"])
class HostNormalised(_HostRead):
    """Compares hosts without case, userinfo and trailing dot."""

    def read_host(self, authority: bytes) -> bytes:
        return authority.rpartition(b"@")[2].rstrip(b".").lower()


@fault(id="gateway.routes.host-assumed", breaks=["OHT-065"], trips=["gateway.allow-list.no-host"])
class HostAssumed(_HostRead):
    """Takes a request without a host for one to the router."""

    def read_host(self, authority: bytes) -> bytes:
        return authority or ROUTER


@fault(id="gateway.routes.hosts-not-compared", breaks=["OHT-065"], trips=["gateway.allow-list.other-host-field"])
class HostsNotCompared(LenientGateway):
    """Looks at one of authority and host field and not at the other."""

    without = ("binary-http.host.differs", "binary-http.host.repeated")


@fault(
    id="gateway.routes.any-path",
    breaks=["OHT-066"],
    trips=[
        "gateway.allow-list.path",
        "gateway.allow-list.method",
        "gateway.allow-list.other-service",
        "gateway.allow-list.dot-segments",
        "gateway.allow-list.percent-encoding",
        "gateway.allow-list.target-form",
        "gateway.allow-list.query",
        "gateway.allow-list.url-as-path",
        "gateway.errors.path-encapsulated",
    ],
    also=["gateway.messages.long-parts"],
)
class AnyPath(Gateway):
    """Forwards every path to an allowed host."""

    def require_route(self, authority: bytes, head: RequestHead) -> None:
        pass


@fault(
    id="gateway.routes.any-method",
    breaks=["OHT-066"],
    trips=["gateway.allow-list.method"],
    also=["gateway.messages.long-parts", "gateway.allow-list.target-form"],
)
class AnyMethod(Gateway):
    """Looks at the path alone."""

    def require_route(self, authority: bytes, head: RequestHead) -> None:
        super().require_route(authority, replace(head, method=next(iter(_ALL_PATHS.get(head.path, {b"POST"})))))


@fault(
    id="gateway.routes.one-list",
    breaks=["OHT-066"],
    trips=["gateway.allow-list.other-service"],
    also=["gateway.allow-list.path"],
)
class OneList(Gateway):
    """Has one list of paths for both services."""

    def require_route(self, authority: bytes, head: RequestHead) -> None:
        if head.method not in _ALL_PATHS.get(head.path, ()):
            super().require_route(authority, head)


class _PathRead(Gateway):
    """Reads the inner path in its own way before it looks at the list; forwards it as it came."""

    def read_path(self, path: bytes) -> bytes:
        raise NotImplementedError

    def require_route(self, authority: bytes, head: RequestHead) -> None:
        super().require_route(authority, replace(head, path=self.read_path(head.path)))


@fault(
    id="gateway.routes.prefix",
    breaks=["OHT-066"],
    trips=["gateway.allow-list.dot-segments", "gateway.allow-list.percent-encoding", "gateway.allow-list.path"],
)
class PrefixOfPath(_PathRead):
    """Looks only at how the path begins."""

    def read_path(self, path: bytes) -> bytes:
        return b"/compute-manifests" if path.startswith(b"/compute-manifests") else path


@fault(id="gateway.routes.decoded-late", breaks=["OHT-066"], trips=["gateway.allow-list.percent-encoding"])
class DecodedLate(_PathRead):
    """Decodes the path for its look at the list, as a C string."""

    def read_path(self, path: bytes) -> bytes:
        return unquote_to_bytes(path).partition(b"\0")[0]


@fault(
    id="gateway.routes.suffix",
    breaks=["OHT-066"],
    trips=["gateway.allow-list.query", "gateway.allow-list.target-form"],
    also=["gateway.allow-list.url-as-path"],
)
class SuffixOfPath(_PathRead):
    """Looks only at how the target ends."""

    def read_path(self, path: bytes) -> bytes:
        return next((known for known in _ALL_PATHS if known != b"/" and path.endswith(known)), path)


@fault(id="gateway.routes.url-reduced", breaks=["OHT-066"], trips=["gateway.allow-list.url-as-path"])
class UrlReduced(_PathRead):
    """Reduces a URL in place of the path to its path, as deployed gateways do."""

    def read_path(self, path: bytes) -> bytes:
        return urlsplit(path).path if path.startswith(b"http://") else path

    def upstream_target(self, url: str, head: RequestHead) -> bytes:
        return super().upstream_target(url, replace(head, path=self.read_path(head.path)))


@fault(id="gateway.routes.first-word", breaks=["OHT-066"], trips=["gateway.allow-list.line-break"])
class FirstWord(_PathRead):
    """Looks at the target up to the first blank and forwards what stands behind the last."""

    def read_path(self, path: bytes) -> bytes:
        return path.partition(b" ")[0]

    def upstream_target(self, url: str, head: RequestHead) -> bytes:
        return super().upstream_target(url, replace(head, path=head.path.rpartition(b" ")[2]))


@fault(
    id="gateway.routes.invalid-is-500",
    breaks=["OHT-065"],
    trips=["gateway.robustness.junk-message"],
    also=[
        "gateway.allow-list.host-spelling",
        "gateway.allow-list.other-host-field",
        "gateway.allow-list.target-form",
        "gateway.allow-list.line-break",
    ],
)
class InvalidIs500(Gateway):
    """Fails where a message does not decode."""

    def invalid_message(self, rejected: Rejected) -> InnerAnswer:
        return InnerAnswer(500, b"Internal Server Error\n")


@fault(id="gateway.routes.host-cut", breaks=["OHT-065"], trips=["gateway.allow-list.host-spelling"])
class HostCut(LenientGateway):
    """Reads hosts up to a blank or a zero byte, as texts in C."""

    without = ("binary-http.authority.bytes", "binary-http.host.bytes")

    def admit(self, head: RequestHead) -> str:
        return super().admit(replace(head, authority=head.authority.partition(b"\0")[0].rstrip(b" ")))


@fault(id="gateway.routes.path-cut", breaks=["OHT-066"], trips=["gateway.allow-list.line-break"])
class PathCut(Gateway):
    """Reads paths up to a zero byte, as texts in C."""

    def admit(self, head: RequestHead) -> str:
        return super().admit(replace(head, path=head.path.partition(b"\0")[0]))

    def upstream_target(self, url: str, head: RequestHead) -> bytes:
        return super().upstream_target(url, head).partition(b"\0")[0]
