"""Text to terms, languages and scores of likeness: what needs neither a model nor a store."""
