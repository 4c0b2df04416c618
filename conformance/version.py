"""The suite's version, as installed."""

from importlib.metadata import version

VERSION = version("openpcc-conformance")
