"""With what is it signed? The key ring, its rotation, and the minting of access tokens."""
