"""``python -m conformance`` is ``openpcc-conformance``."""

from conformance.cli import main

if __name__ == "__main__":
    main(prog_name="python -m conformance")
