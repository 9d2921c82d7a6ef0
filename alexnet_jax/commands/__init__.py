"""The subcommands. Each module parses the arguments of one subcommand, and its ``main`` runs it."""
