"""Why a node refuses, in our codes and in those of the wire. Requirements: NODE-031, NODE-044."""

from __future__ import annotations

import json

from openpcc_ref.errors import Rejected, require


class ComputeNodeRejected(Rejected):
    """A request to a node, or what its worker or engine says, is not acceptable."""


def require_node(holds: bool, fault: str, where: str, expected: str) -> None:
    """Raise :class:`ComputeNodeRejected` with ``compute-node.fault`` unless ``holds``."""
    require(holds, ComputeNodeRejected, f"compute-node.{fault}", where=where, expected=expected)


WIRE_CODES = {
    "compute-node.path.query": "ErrQueryParamsNotAllowed",
    "compute-node.path.form": "ErrInvalidRequestURI",
    "compute-node.path.unknown": "ErrUnsupportedPath",
    "compute-node.method": "ErrUnsupportedMethod",
    "compute-node.field.transfer-encoding": "ErrTransferEncodingNotAllowed",
    "compute-node.field.content-type": "ErrContentTypeNotAllowed",
    "compute-node.field.refused": "ErrHeaderNotAllowed",
    "compute-node.field.long": "ErrHeaderTooLarge",
    "compute-node.authority": "ErrUnknownHostname",
    "compute-node.body.long": "ErrBodyTooLarge",
    "compute-node.body.broken": "ErrReadingBody",
    "compute-node.body.empty": "ErrEmptyBody",
    "compute-node.body.length": "ErrContentLengthMismatch",
    "compute-node.json.malformed": "ErrInvalidJSON",
    "compute-node.json.duplicate": "ErrInvalidJSON",
    "compute-node.json.member": "ErrInvalidJSON",
    "compute-node.json.type": "ErrInvalidJSON",
    "compute-node.json.trailing": "ErrMultipleJSONObjects",
    "compute-node.json.missing": "ErrMissingRequiredField",
    "compute-node.model": "ErrUnsupportedModel",
    "badge.model": "ErrUnsupportedModel",
}
"""What the encrypted answer calls a refusal; all other codes of badges are ``ErrBadgeInvalid``."""

_TITLE = "Request Validation Error"


def wire_code(refusal: Rejected) -> str:
    """Return the name of a refusal in the encrypted answer."""
    return WIRE_CODES.get(refusal.code, "ErrBadgeInvalid")


def validation_answer(refusal: Rejected) -> tuple[int, bytes]:
    """Return status and JSON body of the encrypted answer to a refused request. Requirements: NODE-031, NODE-044.

    The text says what would have been right and repeats nothing of the request.
    """
    status = 404 if refusal.code == "compute-node.path.unknown" else 400
    body = {"code": wire_code(refusal), "error": _TITLE, "message": f"{refusal.where}: expected {refusal.expected}"}
    return status, json.dumps(body, separators=(",", ":")).encode()
