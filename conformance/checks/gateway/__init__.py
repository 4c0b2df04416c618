"""What is asked of a gateway, by area."""
