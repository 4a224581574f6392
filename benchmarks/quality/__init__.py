"""How good models are after training, each recipe against its peer."""
