"""Reading and writing JWTs. The only room that imports PyJWT, and the only one that decodes a token."""
