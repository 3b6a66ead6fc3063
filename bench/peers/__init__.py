"""Who is measured: each peer's command, and why it is absent where it is."""
