"""Where results go to, one file a kind."""
