"""What bank, AuthBank and nonce lock decide about money, without network or storage. Chapter: ``spec/banking.md``.

``nonce_state`` is the life of one nonce, ``accounts`` the rules of tokens and balances, ``messages`` the bodies that
clients and services exchange, ``spends`` what a service writes down about a credit before it is consumed.
"""
