"""Field sections: lines behind a length or before a terminator (RFC 9292 section 3.6)."""

from __future__ import annotations

from openpcc_ref.binary_http import rules
from openpcc_ref.binary_http.messages import BinaryHttpRejected, Field, Fields, Limits
from openpcc_ref.binary_http.stepwise import Input, Steps
from openpcc_ref.errors import require


class SectionParser:
    """Parses the field sections of one message: header sections and the trailer section."""

    def __init__(self, source: Input, limits: Limits) -> None:
        self._input = source
        self._limits = limits

    def section(self, known_length: bool, place: str) -> Steps[Fields]:
        """Parse one field section in the form the framing indicator chose. Requirements: MSG-011, MSG-019."""
        if not known_length:
            return (yield from self._lines(self._input, place, terminated=True))
        length = yield from self._input.varint("section")
        self._require_section(length, place)
        start = self._input.offset
        data = yield from self._input.exactly(length, "section")
        return (yield from self._lines(Input(data, offset=start, ended=True), place, terminated=False))

    def _lines(self, source: Input, place: str, *, terminated: bool) -> Steps[Fields]:
        start = source.offset
        fields: list[Field] = []
        while terminated or not (yield from source.at_end()):
            line_start = source.offset
            name_length = yield from source.varint("field-line")
            if terminated and name_length == 0:
                break
            where = f"{place}[{len(fields)}]"
            self._require_line(source.offset - line_start + name_length, where)
            name = yield from source.exactly(name_length, "field-line")
            value_length = yield from source.varint("field-line")
            self._require_line(source.offset - line_start + value_length, where)
            value = yield from source.exactly(value_length, "field-line")
            self._require_section(source.offset - start, place)
            regular = self._is_regular(name, where, after_regular=bool(fields), trailer=place == "trailers")
            rules.require_field_value(value, where)
            if regular:
                fields.append((name.lower(), value))
            if source.ended and source.offset == line_start:
                break  # only with the truncation check off: nothing is left to read
        return tuple(fields)

    def _is_regular(self, name: bytes, where: str, *, after_regular: bool, trailer: bool) -> bool:
        """Check a field name; say whether it counts, rather than being an unknown pseudo-field.

        Requirements: MSG-015 to MSG-019.
        """
        require(
            name not in rules.RESERVED_PSEUDO_FIELDS,
            BinaryHttpRejected,
            "binary-http.field-name.reserved",
            where=where,
            expected="control data outside the field section",
        )
        if rules.EXTENSION_PSEUDO_FIELD.fullmatch(name):
            require(
                not trailer,
                BinaryHttpRejected,
                "binary-http.field-name.pseudo-trailer",
                where=where,
                expected="no pseudo-field among trailers",
            )
            require(
                not after_regular,
                BinaryHttpRejected,
                "binary-http.field-name.pseudo-order",
                where=where,
                expected="pseudo-fields before all other fields",
            )
            return False
        rules.require_token(name, where)
        if trailer:
            rules.require_no_content_framing(name, where)
        return True

    def _require_line(self, length: int, where: str) -> None:
        require(
            length <= self._limits.field_line,
            BinaryHttpRejected,
            "binary-http.field-line.length",
            where=where,
            expected=f"at most {self._limits.field_line} bytes",
        )

    def _require_section(self, length: int, place: str) -> None:
        require(
            length <= self._limits.section,
            BinaryHttpRejected,
            "binary-http.section.length",
            where=place,
            expected=f"at most {self._limits.section} bytes",
        )
