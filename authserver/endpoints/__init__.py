"""Where HTTP begins and ends, without a framework: each endpoint is a function from Request to Response."""
