"""Records of published weights, and their download."""
