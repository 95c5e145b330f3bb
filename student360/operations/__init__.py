"""What an operator does by hand: verify, reprocess, withdraw, move."""
