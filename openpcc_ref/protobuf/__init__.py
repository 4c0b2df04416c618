"""Protobuf messages, generated from ``spec/proto`` by ``python -m openpcc_ref.protobuf``."""

from __future__ import annotations

from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from openpcc_ref.errors import Rejected, require

AnyMessage = TypeVar("AnyMessage", bound=Message)


def parse(message_type: type[AnyMessage], data: bytes, rejection: type[Rejected], code: str) -> AnyMessage:
    """Return the message that ``data`` serializes; unknown fields are ignored.

    Raises ``rejection`` with ``code`` when the bytes are no message of that type. With that check off, the message
    keeps the fields before the fault.
    """
    message = message_type()
    try:
        message.ParseFromString(data)
        well_formed = True
    except DecodeError:
        well_formed = False
    require(well_formed, rejection, code, where="message", expected=f"a serialized {message_type.DESCRIPTOR.name}")
    return message
