"""What more chips bring."""
