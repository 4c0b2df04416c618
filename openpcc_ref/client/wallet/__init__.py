"""The wallet: keeps ready-made credits of one size. Chapter: ``spec/banking.md``.

So neither the time nor the amount of a request shows at the banks. It does no I/O: whoever runs a :class:`Wallet` takes
the tasks that are due, performs them against AuthBank and bank, and says how they ended. ``operations`` are the tasks,
``amounts`` the arithmetic, ``wallet`` the life of the money.
"""

from openpcc_ref.client.wallet.amounts import Plan, plan_for
from openpcc_ref.client.wallet.errors import WalletRejected
from openpcc_ref.client.wallet.operations import Failure, Operation, Task
from openpcc_ref.client.wallet.wallet import Payment, Status, Wallet

__all__ = ["Failure", "Operation", "Payment", "Plan", "Status", "Task", "Wallet", "WalletRejected", "plan_for"]
