"""What each subcommand takes and prints: one module for each, whose ``main`` runs it."""
