"""What a wallet withdraws: known amounts."""

from __future__ import annotations

import pytest

from openpcc_ref.client.wallet import WalletRejected, plan_for
from openpcc_ref.client.wallet.amounts import require_payable
from openpcc_ref.credits import currency


@pytest.mark.parametrize(
    ("size", "source", "octets"),
    [
        (262144, 2621440, "0224"),
        (65536, 655360, "0204"),
        (20480, 204800, "00e9"),
        (1024, 10240, "00a4"),
        (34, 368, "0057"),
        (1, 40, "0024"),
    ],
)
def test_the_amount_from_the_authbank_follows_from_the_credit_size(size: int, source: int, octets: str) -> None:
    value = plan_for(currency.exact(size)).source_value
    assert (value.amount, value.blind_bytes.hex()) == (source, octets)


@pytest.mark.parametrize("amount", [0, -1, 11])
def test_a_payment_is_covered_by_one_credit(amount: int) -> None:
    require_payable(10, currency.exact(10))
    require_payable(1, currency.exact(10))
    with pytest.raises(WalletRejected, match=r"wallet\.payment\.amount"):
        require_payable(amount, currency.exact(10))
