"""What is copied into every export and runs there, without plainbert, from Python 3.8 on."""
