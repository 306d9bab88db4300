"""Who is calling? Verifies a credential and answers with a subject."""
