"""The client: what it decides, without network. Chapter: ``spec/banking.md``."""
