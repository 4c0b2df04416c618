"""``python -m conformance.faults FAULT_ID``: serve a faulty reference service by the launch protocol."""

from __future__ import annotations

import sys

from conformance.faults import faults
from openpcc_ref.services.launch import main

if __name__ == "__main__":
    main(faults()[sys.argv[1]].service, sys.argv[2:])
